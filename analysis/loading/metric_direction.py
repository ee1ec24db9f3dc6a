"""Decide whether higher or lower values of a metric are better.

In analysis higher is better everywhere: metrics of which lower is better are negated. A name is looked up word by
word: the last word that names a quantity decides ("error_detection_auroc" is an AUROC, "loss_reduction" a reduction).
A name that says nothing is taken as higher is better, and every output says so. `--higher-is-better`,
`--lower-is-better` and `[metric] direction` overrule the name.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pandas as pd

from analysis.loading.curves import Basis, Curves, MetricDirection
from protocol.spec.study import Better

LOWER: Final = frozenset(
    """err errs error errors loss losses nll nlpd logloss bce ce crossentropy xent kl kld jsd divergence hinge deviance
    perplexity ppl bpc bpb bits ece mce ace sce tce brier calibrationerror
    mse rmse rmsle msle mae mape smape mase mad medae rae rse nrmse wape l1 l2
    wer cer ter per mer eer der fpr fnr far frr fdr for acer apcer bpcer hter fpr95 hamming
    fid kid lpips niqe brisque nfid fvd mmd emd wasserstein distance hd hd95 hausdorff
    asd assd chamfer epe aee d1 ate rpe
    aurc eaurc naurc risk regret misclassification misclassifications miss misses mistakes missrate lamr impurity
    aic bic aicc wmape crps pinball rank ranks meanrank latency runtime seconds time cost forgetting""".split()  # noqa: SIM905  # one word per line would fill two screens
)
"""Quantities of which lower is better."""
HIGHER: Final = frozenset(
    """acc accuracy accuracies top1 top5 correct auc auroc aucroc rocauc auprc aupr aucpr prauc ap map map50 ar aubc
    f1 f2 fbeta fscore fmeasure precision recall sensitivity specificity tpr tnr ppv npv gmean
    iou miou fwiou jaccard dice dsc pq sq rq ods ois boundaryf kappa qwk mcc cramer nmi ami ari purity vmeasure
    r2 pearson spearman kendall tau ccc corr correlation explained evs concordance cindex ndcg dcg mrr hit hits
    psnr ssim msssim is inception bleu rouge rougel meteor cider spice chrf comet bertscore em exactmatch passk
    reward return returns utility likelihood loglikelihood elbo logprob confidence coverage
    reduction reductions decrease improvement improvements gain gains saving savings saved speedup uplift
    agreement similarity success wins winrate hitrate""".split()  # noqa: SIM905  # one word per line would fill two screens
)
"""Quantities of which higher is better."""
AMBIGUOUS: Final = frozenset({"riskcoverageauc", "aucriskcoverage", "coverageriskauc"})
"""Names that the literature uses in both directions: taken as higher is better, and said."""
RATES: Final[Mapping[str, Better]] = {
    **dict.fromkeys(("error", "err", "miss", "misclassification", "failure", "loss", "rejection", "alarm"), "lower"),
    **dict.fromkeys(("positive", "negative"), "higher"),
    **dict.fromkeys(("hit", "win", "success", "recognition", "detection", "correct", "pass", "accuracy"), "higher"),
}
"""What stands before "rate" decides; of positives and negatives, "false" turns it round."""
NEGATED: Final = frozenset(("neg", "negative", "negated", "minus"))
WEAK: Final = frozenset(("score", "scores", "index", "points"))
"""Higher is better, unless another word of the name says what the score is of (a Brier score is lower)."""
QUALIFIERS: Final = frozenset(
    """test val valid validation dev train training eval mean avg average median final best last overall total macro
    micro
    weighted balanced per class classwise sample pixel global at k n x the of on in for and by vs under over curve area
    normalized normalised norm relative percent percentage pct pp std adaptive top new old raw smoothed ema""".split()  # noqa: SIM905  # one word per line would fill two screens
)
"""Words that say nothing about the direction."""


def direction_of(metric: str, stated: Better | None = None, basis: Basis = "option") -> MetricDirection:
    """Return the direction of a metric by its name, unless it is stated; `basis` says where.

    >>> [direction_of(m).better for m in ("WER", "val_loss", "loss_reduction", "error_detection_auroc", "-nll")]
    ['lower', 'lower', 'higher', 'higher', 'higher']
    >>> direction_of("quality").basis
    'unknown'
    """
    if stated is not None:
        return MetricDirection(metric, stated, basis)
    named = _by_name(metric)
    return MetricDirection(metric, named or "higher", "name" if named else "unknown")


def _by_name(metric: str) -> Better | None:
    words = _words(metric)
    if "".join(words) in AMBIGUOUS:
        return None
    turned = bool(re.match(r"\s*(1(\.0)?\s*)?[-−–]\s*\S", metric))
    likelihood = {"likelihood", "loglikelihood"} & set(words)
    if NEGATED & set(words) and not ({"false", "true"} & set(words) or "rate" in words):
        words = [w for w in words if w not in NEGATED]
        turned = not turned
    if words and words[-1] in ("rate", "rates"):
        named = _rate(words[:-1])
    else:
        named = next((d for d in map(_quantity, _with_pairs(words)) if d is not None), None)
    if named is None and WEAK & set(words):
        named = "higher"
    if named is None or not turned:
        return named
    if likelihood and named == "higher":
        return "lower"
    return "lower" if named == "higher" else "higher"


def _words(metric: str) -> list[str]:
    text = re.sub(
        r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])",
        " ",
        re.sub(r"(?i)(?<=\w)[ _]*(@|[ _]at[ _]?(?=\d)).*", "", metric),
    )
    return re.findall(r"[a-z]+\d*|\d+", text.lower())


def _with_pairs(words: list[str]) -> list[str]:
    """Return candidates from the end: pairs of words before single ones, qualifiers and numbers left out."""
    kept = [w for w in words if w not in QUALIFIERS | WEAK and not w.isdigit()]
    pairs = [a + b for a, b in itertools.pairwise(kept)]
    candidates = []
    for place in range(len(kept) - 1, -1, -1):
        if place:
            candidates.append(pairs[place - 1])
        candidates.append(kept[place])
    return candidates


def _quantity(word: str) -> Better | None:
    if word in LOWER:
        return "lower"
    if word in HIGHER:
        return "higher"
    stem = re.sub(r"\d+$", "", word)
    return _quantity(stem) if stem != word and stem else None


def _rate(before: list[str]) -> Better | None:
    if "false" in before:
        return "lower"
    if "true" in before:
        return "higher"
    found = (RATES.get(word) or _quantity(word) for word in reversed(before))
    return next((better for better in found if better), None)


def apply_direction(curves: Curves, stated: Better | None = None, basis: Basis = "option") -> Curves:
    """Negate primary metrics of which lower is better, and keep the direction that was used.

    The negated metric (for example -nll) is added next to the original and becomes the primary one. If the direction
    rests on the name alone and no value is above 0, the values are taken as negated already.

    Args:
        curves: Curves whose primary metrics have the names and signs of their source.
        stated: The direction of every primary metric, if an option or the study file states it.
        basis: Where it is stated.
    """
    frame, parts = curves.frame, [curves.frame]
    metrics, directions = dict(curves.metrics), dict(curves.directions)
    for metric in dict.fromkeys(curves.metrics.values()):
        protocols = [p for p, m in curves.metrics.items() if m == metric]
        direction = direction_of(metric, stated, basis)
        rows = frame[(frame["metric"] == metric) & frame["protocol"].isin(protocols)]
        if direction.better == "lower" and direction.basis == "name" and len(rows) and not (rows["value"] > 0).any():
            direction = MetricDirection(metric, "higher", "negated")
        directions |= dict.fromkeys(protocols, direction)
        if direction.better == "lower":
            metrics |= dict.fromkeys(protocols, f"-{metric}")
            if not ((frame["metric"] == f"-{metric}") & frame["protocol"].isin(protocols)).any():
                parts.append(rows.assign(metric=f"-{metric}", value=-rows["value"]))
    whole = pd.concat(parts, ignore_index=True) if len(parts) > 1 else frame
    return replace(curves, frame=whole, metrics=metrics, directions=directions)

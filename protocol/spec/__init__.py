"""What a protocol and a study fix: data, splits, model, recipe, budgets, plan."""

"""Ignore the signals that ask a whole job to stop. Importing this module has that effect.

The fork server and oracle processes import it before everything else; no other process may. Schedulers, `timeout`,
service managers and closed terminals send such signals to every process of a job. The driver reacts: it lets the
current rounds finish. A fork server or oracle that ended at once would take the runs with it. Both end when their
drivers do.
"""

import signal

for _number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(_number, signal.SIG_IGN)
if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # under nohup it stays ignored, and runs must see that
    signal.signal(signal.SIGHUP, lambda *_: None)

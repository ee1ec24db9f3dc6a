"""Loaded before all else by the fork server and by an oracle's process, and by nothing else: signals that ask a whole job to stop are not
for them.

Schedulers, `timeout`, service managers and closed terminals send them to every process of a job. The driver answers by letting the rounds
under way finish; a server or an oracle that ended instead would take the runs with it. Both end when their drivers do.
"""

import signal

for _number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(_number, signal.SIG_IGN)
if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # runs, too, ignore it under nohup, and are to see the difference
    signal.signal(signal.SIGHUP, lambda *_: None)

"""Loaded by the fork server before all else, and by nothing else: signals that ask a whole job to stop are not for the server.

Schedulers, `timeout` and service managers send them to every process of a job. The driver answers by letting the rounds under way
finish; a server that ended instead would take the runs with it. It ends when its driver does.
"""

import signal

for _number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(_number, signal.SIG_IGN)

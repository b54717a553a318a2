"""What usually helps, for each cause that an attempt ends with."""

_HELP = {
    "diverged": "the loss is no longer a number: lower optimizer.learning_rate, lengthen warmup_epochs, or raise "
    "loss.temperature",
    "out_of_memory": "fewer trials at once (--workers), or a machine with more memory; the batch is part of what is "
    "ablated, so it is never made smaller behind your back. --set micro_batch=N encodes it in parts",
    "disk_full": "make room on the disk of the results folder: ablate gc --dry-run lists what nothing needs",
    "data": "look at the data folder that the settings name: is it there, whole, and of the expected form? "
    "ablate data verify DIR checks a pack",
    "trainer": "the trainer did not take the trial: plan it again with ablate run, so that it is made for this trainer",
    "config": "the trainer no longer takes these settings: plan it again with ablate run",
    "record": "the trial's trial.json is missing or damaged: ablate run writes it again",
    "damaged": "a file of its record cannot be read: ablate run STUDY writes trial.json again where there is no "
    "result; else remove the trial's folder",
    "exception": "the end of the log names the line; --inline runs the trial in this process, for a debugger",
    "killed": "the system ended the process, most often for want of memory: fewer trials at once (--workers), and "
    "look at dmesg",
    "lost": "its machine or its process went away without a word; the same command goes on from its last checkpoint",
    "stopped": "somebody stopped the run; the same command goes on from its last checkpoint",
    "cancelled": "somebody asked that it end; ablate run or ablate retry starts it again, from its last checkpoint",
    "preempted": "the scheduler gave its place away; it goes on from its last checkpoint when it is started again",
    "node_failure": "its node went down; on a cluster it is tried again elsewhere, from its last checkpoint",
    "requeued": "its job was queued again; it goes on from its last checkpoint",
    "not_begun": "its job ended before the trial began: the job's own log says more, and ablate doctor --on NAME "
    "checks whether jobs find this Python",
    "unsaved": "its time was over before it had saved anything: give it more time (time under [resources] of the "
    "study, or of the cluster in ablate.toml), or have its trainer save in context.checkpoints",
    "timeout": "its time was over; it goes on from its last checkpoint when it is started again, or give it more time",
}


def what_helps(cause: str | None) -> str:
    """Advice for a cause, in a sentence; for an unknown one, where to look."""
    return _HELP.get(cause or "", "the end of the log says more; ablate logs TRIAL shows all of it")

"""Ending the jobs that have nothing left to train."""

from ablate.records.cancel import cancel_requested
from ablate.records.files import Results
from ablate.run.slurm.commands import scancel
from ablate.run.slurm.queue import forget_answer, read_queue


def cancel_jobs(results: Results) -> list[str]:
    """End the jobs whose trials are all done, or asked to end, with some of the latter; returns their ids."""
    queue = read_queue(results, fresh=True)
    ended = []
    for submission in queue.submissions:
        for array in submission.arrays:
            for index, share in enumerate(array.shares):
                job = queue.job(array, index)
                folders = [results.trial(key) for key in share.keys]
                asked = [folder for folder in folders if not folder.result.exists()]
                if job and not job.over and asked and all(map(cancel_requested, asked)):
                    ended.append(job.id)
    scancel(ended)
    forget_answer(results)
    return ended

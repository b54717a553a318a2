import pytest

from ablate.run.slurm.packing import Share, Timing, job_memory, job_minutes, share_out
from ablate.study.schema.resources import Resources

SMALL = Resources(gpus_per_node=1)


def sizes(trials: int, resources: Resources | None = None, timing: Timing | None = None) -> list[int]:
    pretrainings = {f"t{number}": f"p{number}" for number in range(trials)}
    shares = share_out(pretrainings, resources or Resources(), timing or Timing())
    assert [key for share in shares for key in share.keys] == [f"t{number}" for number in range(trials)]
    return [len(share.keys) for share in shares]


def test_untimed_trials_have_a_job_each_up_to_a_hundred_jobs() -> None:
    assert sizes(49) == [1] * 49
    assert sizes(1000) == [10] * 100


def test_jobs_of_short_trials_take_about_five_minutes() -> None:
    assert sizes(49, timing=Timing(seconds=30)) == [10, 10, 10, 10, 9]
    assert sizes(3, timing=Timing(seconds=3600)) == [1, 1, 1]


def test_trials_per_job_takes_precedence_over_timing() -> None:
    assert sizes(5, Resources(trials_per_job=2), Timing(seconds=1)) == [2, 2, 1]


def test_trials_with_a_common_pretraining_share_a_job() -> None:
    pretrainings = {"a1": "a", "b1": "b", "a2": "a", "c1": "c", "a3": "a"}
    shares = share_out(pretrainings, Resources(trials_per_job=2), Timing())
    assert [share.keys for share in shares] == [("a1", "a2", "a3"), ("b1", "c1")]


@pytest.mark.parametrize(
    ("resources", "timing", "at_once"),
    [
        (SMALL, Timing(60, 0.1), 8),
        (SMALL, Timing(60, 0.3), 3),
        (SMALL, Timing(60, 0.8), 1),
        (SMALL, Timing(3600, 0.1), 1),  # long enough to fill a GPU alone
        (SMALL, Timing(60, None), 1),
        (Resources(), Timing(60, 0.1), 1),  # no GPU to share
        (Resources(gpus_per_node=2), Timing(60, 0.1), 1),  # a trial of two ranks
        (Resources(gpus_per_node=1, at_once=2), Timing(), 2),
    ],
)
def test_short_trials_that_leave_room_on_a_gpu_train_side_by_side(
    resources: Resources, timing: Timing, at_once: int
) -> None:
    (first, *_) = share_out({f"t{number}": f"p{number}" for number in range(40)}, resources, timing)
    assert first.at_once == at_once


def test_at_most_as_many_trials_train_side_by_side_as_there_are_pretrainings() -> None:
    (share,) = share_out({"a1": "a", "a2": "a"}, Resources(at_once=4), Timing())
    assert share.at_once == 1


def test_a_trial_of_several_ranks_has_a_job_of_its_own() -> None:
    assert sizes(3, Resources(nodes=2, gpus_per_node=4), Timing(seconds=1)) == [1, 1, 1]


def test_a_job_has_time_for_its_rounds_up_to_the_limit_of_the_cluster() -> None:
    share = Share(keys=("a", "b", "c"), at_once=2)
    assert job_minutes(Resources(time="1h"), None, [share]) == 120
    assert job_minutes(Resources(time="1h"), "90min", [share]) == 90
    assert job_minutes(Resources(), "90min", [share]) == 90
    assert job_minutes(Resources(), None, [share]) == 240


def test_a_job_has_memory_for_all_trials_that_train_side_by_side() -> None:
    assert job_memory(Resources(memory="64GB"), 2) == 2 * 64 * 1024
    assert job_memory(Resources(memory="500MB"), 1) == 500
    assert job_memory(Resources(), 2) is None

"""`ablate run`, `retry` and `cancel`: what starts trials, and what stops them."""

from pathlib import Path
from typing import Annotated

import typer

from ablate.commands import options
from ablate.commands.options import plan_options, reports_in, results_in, run_options
from ablate.commands.streams import ends_with_ctrl_c

UntilDecided = Annotated[
    bool, typer.Option("--until-decided", help="Add seeds until every claim is decided, up to --seeds (default 30).")
]
_INTERRUPTED = "Interrupted. Finished trials are kept; run the same command to resume."


def run(
    study: options.StudyOrSuite,
    profile: options.Profile = "embedded",
    only: options.Only = [],
    set: options.Setting = [],
    seeds: options.Seeds = None,
    budget: options.Budget = None,
    workers: options.Workers = None,
    device: options.Device = "auto",
    inline: options.Inline = False,
    stop_at_first_failure: options.Stop = False,
    until_decided: UntilDecided = False,
    on: options.On = None,
    wait: options.Wait = False,
    log: options.Log = None,
    results: options.ResultsFolder = Path("results"),
    reports: options.ReportsFolder = None,
) -> None:
    """Train the unfinished cells of a study, or of every study of a suite, then write the pages."""
    from ablate.workflow.suite import run_named

    folder = reports_in(reports, results)
    how = run_options(workers, device, inline, stop_at_first_failure, budget, on, wait, folder, log)
    with ends_with_ctrl_c(_INTERRUPTED):
        run_named(study, plan_options(profile, only, set, seeds), how, results_in(results), until_decided)


def retry(
    study: options.StudyName,
    profile: options.Profile = "embedded",
    only: options.Only = [],
    set: options.Setting = [],
    seeds: options.Seeds = None,
    workers: options.Workers = None,
    device: options.Device = "auto",
    inline: options.Inline = False,
    on: options.On = None,
    wait: options.Wait = False,
    log: options.Log = None,
    results: options.ResultsFolder = Path("results"),
    reports: options.ReportsFolder = None,
) -> None:
    """Retry failed and interrupted trials; start no new ones."""
    from ablate.workflow.pages import finish
    from ablate.workflow.run import retry_study

    folder = reports_in(reports, results)
    how = run_options(workers, device, inline, False, None, on, wait, folder, log)
    with ends_with_ctrl_c(_INTERRUPTED):
        finished = retry_study(study, plan_options(profile, only, set, seeds), how, results_in(results))
        if finished is not None:
            finish(finished, folder)


def cancel(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY | TRIAL]...", help="Studies (all their trials) or single trials."),
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="Only trials that match: \"first = 'crop' AND seed > 0\".")
    ] = None,
    json: options.Json = False,
    results: options.ResultsFolder = Path("results"),
) -> None:
    """Stop running trials at their next step, and keep waiting trials from starting until they are run again."""
    from ablate.commands.output import print_json
    from ablate.records.plain import plural
    from ablate.workflow.run import cancel_trials

    found = cancel_trials(results_in(results), names or [], where)
    if json:
        print_json(found)
        return
    endings = {
        "running": "will stop at the next step",
        "waiting": "will not start until you use ablate run or ablate retry",
        "done": "already done",
    }
    for state, ending in endings.items():
        if keys := found[state]:
            print(f"{plural(len(keys), 'trial')} {ending}")
    if jobs := found["jobs"]:
        print(f"cancelled {plural(len(jobs), 'cluster job')}: {', '.join(jobs)}")
    if not any(found[state] for state in endings):
        print("no trial matches")


def mirror(
    study: options.StudyName,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", metavar="NAME", help="tensorboard, wandb, mlflow or trackio. Default: [log] in ablate.toml."
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on as trials record more, until Ctrl-C.")] = False,
    profile: options.Profile = "embedded",
    results: options.ResultsFolder = Path("results"),
) -> None:
    """Copy recorded rows to an experiment tracker: those that it does not have yet."""
    from ablate.records.plain import plural
    from ablate.workflow.mirror import mirror_study

    sent = mirror_study(study, plan_options(profile, [], [], None), to or [], results_in(results), watch)
    for name, count in sent.items():
        print(f"{name} has the rows of {plural(count, 'trial')}")


def watch(
    once: Annotated[bool, typer.Option("--once", help="Look after each submission once, as from cron.")] = False,
    results: options.ResultsFolder = Path("results"),
    reports: options.ReportsFolder = None,
) -> None:
    """Look after the jobs of clusters whose nodes cannot submit (follow_up.by = "login"), until they have ended."""
    from ablate.workflow.follow import watch_submissions

    with ends_with_ctrl_c("Stopped. The jobs continue; run the same command to look after them again."):
        watch_submissions(results_in(results), reports_in(reports, results), once)


def follow(
    submission: Annotated[str, typer.Argument(metavar="ID", help="Its folder in results/slurm.")],
    results: options.ResultsFolder = Path("results"),
    reports: options.ReportsFolder = None,
) -> None:
    """Continue a submission whose jobs have ended: what a cluster's last job runs."""
    from ablate.workflow.follow import follow_submission

    follow_submission(results_in(results), submission, reports_in(reports, results))

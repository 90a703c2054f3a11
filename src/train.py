"""Train one run, or sweep many with -m.

python src/train.py attention=additive task=reverse
python src/train.py -m attention=additive,general seed=1,2
python src/train.py attention.heads=4 task=multi30k task.path=DIR budget=2000000 runs_dir=DIR
python src/train.py attention=general --cfg job          the config of a run, which is not trained

GROUP=CHOICE        choose a part of the run; the groups and their choices are listed below
GROUP.KEY=VALUE     change a value of the chosen part, as in attention.heads=4
SETTING=VALUE       change a setting; all of them are listed below
-m                  train several runs, one for each combination of VALUE,VALUE
"""

import json
import os
import signal
import sys
import warnings


def _stop_at_once(number: int, frame: object) -> None:  # noqa: ARG001
    """Ahead of a run and after it, nothing is half done."""
    print("stopped; the same command continues from here", file=sys.stderr, flush=True)
    os._exit(128 + number)


if __name__ == "__main__":  # before the imports, which take seconds
    for _signal in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(_signal) is not signal.SIG_IGN:
            signal.signal(_signal, _stop_at_once)

from softlookup.system.entry_point import keep_talking

if __name__ == "__main__":
    keep_talking()

import hydra
from omegaconf import DictConfig

from softlookup.config.command_line import check_overrides, split
from softlookup.config.resolve import explain, resolve, typed_keys
from softlookup.config.settings import explanations
from softlookup.errors import Stopped
from softlookup.runs.inputs import with_inputs
from softlookup.runs.run_folder import state_of

# What came out of the runs inside Hydra, which would print lines of its own about any error that passed through it.
raised: list[Exception] = []
# The memory that the last of them was given, in MB.
limits: list[int | None] = [None]
# Some launchers carry `single` into another process, where nobody reads `raised`.
_HERE = os.getpid()


@hydra.main(version_base=None, config_path="../conf", config_name="train")
def single(config: DictConfig) -> None:
    """One run, in this process. Sweeps go from Hydra to a launcher; only those of other packages come back here."""
    try:
        resolved = with_inputs(resolve(config), typed_keys())
        limits[0] = resolved.settings.memory
        from softlookup.run import start

        start(resolved)
    except SystemExit as ended:
        _keep(RuntimeError(f"something in the run called sys.exit({ended.code})"))
    except Exception as error:
        _keep(error)


def _keep(error: Exception) -> None:
    if os.getpid() != _HERE:
        raise error
    raised.append(error)


def _settings() -> str:
    """Return a line for every setting: its name, default and meaning."""
    lines = [f"  {name}={json.dumps(value)}".replace('"', "") for name, (value, _) in explanations().items()]
    texts = [text for _, text in explanations().values()]
    return "\n".join(["Settings", *(f"{line:28}{text}" for line, text in zip(lines, texts, strict=True)), ""])


def main() -> int:
    """Return the exit code: 0 done, 1 a run failed, 2 a mistake in what was asked for, 130 or 143 stopped by a
    signal."""
    arguments = sys.argv[1:]
    debug = any(argument.lstrip("+") == "debug=true" for argument in arguments)
    # Hydra would print errors in its own words and end the process.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        check_overrides(arguments)
        flags, overrides = split(arguments)
        if "--help" in flags:
            print(__doc__)
            print(_settings())
        # Hydra checks our config of that name against the plugin's own, which is wanted, and warns of it.
        warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/submitit_slurm' is validated")
        sys.argv[1:] = [*flags, *overrides]  # where Hydra reads them, and understands no flag behind an override
        single()
    except (Stopped, KeyboardInterrupt) as stopped:
        print("stopped; the same command continues from here", file=sys.stderr)
        return 128 + (stopped.number if isinstance(stopped, Stopped) else 2)
    except Exception as error:
        raised.append(error)
    # A sweep of another launcher may meet the same mistake in every job.
    different = {f"{type(error)} {error}": error for error in raised}
    return max((_told(error, debug) for error in different.values()), default=0)


def _told(error: Exception, debug: bool) -> int:
    """Print an error, in one line where its cause is known; the exit code."""
    mistake = explain(error)
    if mistake is not None and not debug:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    state, reason = state_of(error, limits[0])
    if state != "failed" and not debug:
        print(f"{state}: {reason}", file=sys.stderr)
    else:
        sys.excepthook(type(error), error, error.__traceback__)
    return 1 if mistake is None else 2


if __name__ == "__main__":
    sys.exit(main())

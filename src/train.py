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

import gc
import json
import os
import signal
import sys
import warnings
from collections.abc import Sequence


def _stop_at_once(number: int, frame: object) -> None:  # noqa: ARG001
    """Exit immediately on a signal before or after a run, when no work is in progress."""
    print("stopped; the same command continues from here", file=sys.stderr, flush=True)
    os._exit(128 + number)


if __name__ == "__main__":  # before the imports, which take seconds
    for _signal in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(_signal) is not signal.SIG_IGN:
            signal.signal(_signal, _stop_at_once)

from softlookup.system.entry_point import announce, keep_talking

if __name__ == "__main__":
    keep_talking()


def _first_line(arguments: list[str]) -> str:
    """Say what the command line asks for, as far as it can be seen before the imports."""
    named = [word.removeprefix("experiment=") for word in arguments if word.startswith("experiment=")]
    many = bool({"-m", "--multirun"} & set(arguments))
    return " ".join(["sweep" if many else "run", *(f"of experiment {name}" for name in named), "(reading configs …)"])


if __name__ == "__main__" and not {"--cfg", "-c", "--info"} & set(sys.argv):
    announce(_first_line(sys.argv[1:]))

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from softlookup.config.command_line import check_overrides, split
from softlookup.config.resolve import composed, explain, resolve, typed_keys
from softlookup.config.run_config import RunConfig
from softlookup.config.settings import explanations
from softlookup.errors import Stopped, UserError
from softlookup.runs.inputs import with_inputs
from softlookup.runs.run_state import state_of

# Errors of runs inside Hydra, which would print its own message for any error that passed through it.
raised: list[Exception] = []
# The memory limit of the last run, in MB.
limits: list[int | None] = [None]
# Some launchers run `single` in another process, in which `raised` is not read.
_HERE = os.getpid()


@hydra.main(version_base=None, config_path="../conf", config_name="train")
def single(config: DictConfig) -> None:
    """Execute one run in this process. Sweeps are passed to a launcher; only launchers of other packages call this."""
    try:
        resolved = _solved(with_inputs(resolve(config), typed_keys()))
        if HydraConfig.get().mode == RunMode.RUN:
            _refuse_keys_of_sweeps(typed_keys())
        if resolved.settings.tune is not None:
            raise UserError(
                f"tune={resolved.settings.tune}: rates are searched for the variants of a sweep; make sweep "
                f'EXPERIMENT=bottleneck ARGS="tune={resolved.settings.tune}"'
            )
        limits[0] = resolved.settings.memory
        from softlookup.run import start

        gc.freeze()  # what was imported stays: every full collection would visit its half a million objects again
        start(resolved)
    except SystemExit as ended:
        _keep(RuntimeError(f"something in the run called sys.exit({ended.code})"))
    except Exception as error:
        _keep(error)


def _refuse_keys_of_sweeps(typed: Sequence[str]) -> None:
    for key in ("workers", "workers_per_gpu", "confirm"):
        if key in typed:
            raise UserError(f"{key}: it says how a sweep runs, and this is a single run; add -m, or leave {key} out")


def _solved(config: RunConfig) -> RunConfig:
    """Return the config with the widths that `match` solves."""
    if config.reference is None:
        return config
    from softlookup.matching.solve import Solver

    return Solver().solved(config)


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
    """Return the exit code: 0 done, 1 a run failed, 2 a mistake in the input, 130 or 143 stopped by a signal."""
    arguments = sys.argv[1:]
    debug = any(argument.lstrip("+") == "debug=true" for argument in arguments)
    # Without this, Hydra prints errors in its own format and ends the process.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        check_overrides(arguments)
        flags, overrides = split(arguments)
        if "--help" in flags:
            print(__doc__)
            print(_settings())
        if "job" in flags and "--package" not in flags:
            import yaml

            shown = composed(overrides)
            shown = shown if shown.reference is None else _solved(with_inputs(shown, typed_keys()))
            print(yaml.safe_dump(shown.plain(), sort_keys=False, allow_unicode=True), end="")
            return 0
        # Hydra validates our config of that name against the plugin's, as intended, and warns of it.
        warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/submitit_slurm' is validated")
        sys.argv[1:] = [*flags, *overrides]  # Hydra reads sys.argv, with all flags before the overrides
        single()
    except (Stopped, KeyboardInterrupt) as stopped:
        print("stopped; the same command continues from here", file=sys.stderr)
        return 128 + (stopped.number if isinstance(stopped, Stopped) else 2)
    except Exception as error:
        raised.append(error)
    # With another launcher, every job of a sweep may raise the same error.
    different = {f"{type(error)} {error}": error for error in raised}
    return max((_print_error(error, debug) for error in different.values()), default=0)


def _print_error(error: Exception, debug: bool) -> int:
    """Print an error, in one line if its cause is known; return the exit code."""
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

"""Train one run, or sweep many with -m.

python src/train.py attention=additive task=reverse
python src/train.py -m attention=additive,general seed=1,2
"""

import os
import sys

import hydra
from omegaconf import DictConfig

from softlookup.config import check_overrides, explain, resolve

# What came out of the run inside Hydra, which would print a line of its own about any error that passed through it.
raised: list[BaseException] = []


@hydra.main(version_base=None, config_path="../conf", config_name="train")
def single(config: DictConfig) -> None:
    """One run, in this process. Sweeps go from Hydra to the launcher and do not pass here."""
    try:
        resolved = resolve(config)
        from softlookup.run import start

        start(resolved)
    except BaseException as error:
        raised.append(error)


def main() -> int:
    """The exit code: 0 done, 1 a run failed, 2 a mistake in what was asked for, 130 stopped by Ctrl-C."""
    arguments = sys.argv[1:]
    debug = any(argument.lstrip("+") == "debug=true" for argument in arguments)
    # Hydra would print errors in its own words and end the process.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        check_overrides(arguments)
        single()
        if raised:
            raise raised[0]
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except FloatingPointError as error:
        print(f"diverged: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        mistake = explain(error)
        if debug or mistake is None:
            raise
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

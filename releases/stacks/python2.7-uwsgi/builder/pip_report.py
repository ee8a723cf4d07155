"""pip 20.3.4 with the report that later versions write: `pip_report.py FILE COMMAND ARGUMENT ...`, by Python 2.7.

As far as environment.py reads it: https://pip.pypa.io/en/stable/reference/installation-report/
"""

import json
import sys

from pip._internal.cli.main import main
from pip._internal.cli.req_command import RequirementCommand
from pip._internal.models.wheel import Wheel
from pip._internal.utils.misc import hash_file


def entry(requirement):
    link = requirement.original_link or requirement.link
    download = {"url": link.url_without_fragment}
    if link.is_vcs:
        download["vcs_info"] = {}
    elif link.is_existing_dir():
        download["dir_info"] = {}
    else:
        download["archive_info"] = {"hashes": {"sha256": hash_file(requirement.local_file_path)[0].hexdigest()}}
    version = Wheel(link.filename).version if link.is_wheel else requirement.metadata["version"]
    return {"metadata": {"name": requirement.name, "version": version}, "download_info": download}


def reporting(resolver, path):
    """The same resolver, which also writes down what it has found, each with the very file that is taken."""
    resolve = resolver.resolve

    def resolve_and_report(*arguments, **options):
        found = resolve(*arguments, **options)
        with open(path, "w") as file:
            json.dump({"install": [entry(requirement) for requirement in found.requirements.values()]}, file)
        return found

    resolver.resolve = resolve_and_report
    return resolver


if __name__ == "__main__":
    report, make_resolver = sys.argv[1], RequirementCommand.make_resolver

    def make_reporting_resolver(_, *arguments, **options):
        return reporting(make_resolver(*arguments, **options), report)

    RequirementCommand.make_resolver = classmethod(make_reporting_resolver)
    sys.exit(main(sys.argv[2:]))

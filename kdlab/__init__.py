"""The laboratory: what the paper printed, what we ran, and how the two compare.

paper, published.csv    what the paper printed, and ours beside it; presets: its settings, as recipes by data set
experiments/            one entry of a table, run: choose, estimate, run_one, run_many; records: what it measured
studies/                settings side by side: studies.toml, catalogue, one_factor, small_runs; how sure that is:
                        statistics, uncertainty; what it says of the paper's sentences: sentences
audit/                  the paper read against itself: its tables, its claims about them (claims.toml), errata
coverage                how much of the paper has records       cost    arithmetic, time, memory
originals               what data is here                       terms   attribution maps for any lambda, at once
textures, vgg_release   data sets and source weights that kdlib knows once `presets`, or an experiment, is imported
"""

import os
import tempfile


def short_temporary_folder() -> None:
    """Where the folder for temporary files has a long name, as on clusters, use ``/tmp``, here and in what is started.

    Processes and kernels talk over sockets that lie there, and the name of a socket has 107 characters at most.
    """
    if len(tempfile.gettempdir()) > 60:
        os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"

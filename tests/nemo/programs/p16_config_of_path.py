from pathlib import Path

import nemorun_cli.nemo as run


class Reader:
    def __init__(self, folder: Path, limits: dict):
        self.folder, self.limits = folder, limits


def read(reader: Reader):
    print(type(reader.folder).__mro__[-2].__name__, reader.folder, reader.limits)


def usual_reader() -> run.Config[Reader]:
    return run.Config(Reader, folder=run.Config(Path, "/tmp"), limits=run.Config(dict, rows=3, columns=4))


if __name__ == "__main__":
    with run.Experiment("paths") as exp:
        exp.add(run.Partial(read, reader=usual_reader()), tail_logs=True)
        exp.run()

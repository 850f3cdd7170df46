import nemorun_cli.nemo as run
from nemorun_cli.nemo.elsewhere import RayCluster

cluster = RayCluster(name="ray", executor=run.LocalExecutor())
cluster.start()

"""An interactive figure in a file written whole or not at all; on its own because Plotly takes a second to import."""

from kedro_datasets import plotly

from chest_xray.datasets.whole import WholeFile


class PlotlyDataset(WholeFile, plotly.JSONDataset):
    """An interactive figure of Plotly, as JSON."""

    plain = plotly.JSONDataset

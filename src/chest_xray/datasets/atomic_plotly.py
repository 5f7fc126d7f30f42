"""An interactive figure that is written whole or not at all; apart because Plotly takes a second to import."""

from kedro_datasets import plotly

from chest_xray.datasets.atomic import AtomicDataset


class PlotlyDataset(AtomicDataset, plotly.JSONDataset):
    """A Plotly figure in a JSON file."""

    plain = plotly.JSONDataset

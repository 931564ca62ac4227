"""SqueezeNet's tensors in files of others: Caffe's, torchvision's, and .npz that circulate."""

from __future__ import annotations


def caffe_name(layer: str, parameter: str) -> str:
    """A parameter's name as `facegen.weights.caffe` has it; our layers have Caffe's names."""
    return f"{layer}.{parameter}"


def npz_name(layer: str, parameter: str) -> str:
    """A parameter's name in .npz files that circulate: fire2/conv1x1_1/weight."""
    for ours, theirs in (
        ("squeeze1x1", "conv1x1_1"),
        ("expand1x1", "conv1x1_2"),
        ("expand3x3", "conv3x3_2"),
        ("conv10", "conv_final"),
    ):
        layer = layer.replace(ours, theirs)
    return f"{layer}/{parameter}"


def torchvision_name(layer: str, parameter: str) -> str:
    """A parameter's name in `squeezenet1_0`: fire2/squeeze1x1 is features.3.squeeze.

    ReLUs and pools count as modules there: fire4 is features.5, fire5 features.7.
    """
    modules = {"conv1": "features.0", "classifier": "classifier.1"}
    modules |= {f"fire{i}": f"features.{i + 1}" for i in (2, 3, 4)}
    modules |= {f"fire{i}": f"features.{i + 2}" for i in (5, 6, 7, 8)} | {"fire9": "features.12"}
    block, _, part = layer.partition("/")
    part = {"squeeze1x1": "squeeze"}.get(part, part)
    return ".".join(filter(None, (modules[block], part, parameter)))

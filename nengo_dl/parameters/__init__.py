"""
Save, load, freeze, and export the parameters of a simulator.

In: a simulation. Out: files, arguments of Nengo objects, or plain arrays; and a
simulation with the parameters of a file.
"""

from nengo_dl.parameters.methods import ParameterMethods

__all__ = ["ParameterMethods"]

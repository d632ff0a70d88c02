"""Train, sample, judge and look at small denoising diffusion models.

Every public name can be imported from here. Naming one loads the module that holds it, and
importing the package alone loads nothing; the stub `__init__.pyi` beside this file is the list.
"""

import lazy_loader

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

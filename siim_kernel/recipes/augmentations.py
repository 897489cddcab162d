"""The thesis's sets of random changes by its letters: arguments of Keras's ImageDataGenerator (sections 4.6.1, 4.7.3, 4.7.5).

Half of the films are flipped, each side has a zoom of its own, and the border is drawn out, as that class does. Section 4.7.3
writes a shear of 0.1 for set A, section 4.6.1 one of 0.05.
"""

from functools import partial

from siim_kernel.recipes.recipe import Augmentation

_legacy = partial(Augmentation, zoom=0.1, zoom_axes="apart", fill="nearest")
AUGMENTATION_A = _legacy(flip=0.5, shear=0.05, brightness=(0.8, 1.1))
AUGMENTATION_B = _legacy(flip=0.5, vertical_flip=0.5, shift=0.1)
AUGMENTATION_C = _legacy(flip=0.5, shift=0.1, brightness=(0.9, 1.1))

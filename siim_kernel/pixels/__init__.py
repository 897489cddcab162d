"""From a file to pixels: DICOM, display greys, resized images, image sets, boxes."""

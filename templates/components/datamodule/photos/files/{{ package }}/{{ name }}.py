{% include 'parts/' ~ source ~ '-head' %}


class {{ class_name }}(Data):
    """The images that `read` finds; all else is as in `Data`."""

    @cached_property
    def splits(self) -> dict[str, LabelledImages]:
        """The images to train with, to validate and to test; always the same ones."""
        images = read(self.path, self.shape)
        rest, test = stratified_split(images.labels, self.test_share)
        known = images.subset(rest)
        train, val = stratified_split(known.labels, self.val_share)
        return {
            "train": known.subset(train),
            "val": known.subset(val),
            "test": images.subset(test),
        }


{% include 'parts/' ~ source ~ '-read' %}

"""The loops as functions: training, evaluation, prediction, and what a checkpoint keeps."""

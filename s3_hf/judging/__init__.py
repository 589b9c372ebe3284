"""Whether the label of a row is right, estimated by cross-fitting on the gold rows."""

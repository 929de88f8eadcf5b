"""Networks: layers, distributions, encoder, decoder, recurrent state-space model, heads."""

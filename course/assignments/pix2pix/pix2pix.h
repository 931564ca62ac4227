// The part that is yours. main.cpp calls the three in this order, and times the second alone.
#pragma once

#include <cstddef>
#include <cstdint>

void pix2pix_init();

// input, output: n pictures (256, 256, 3), RGB bytes; network: the weights in the order of README.md.
void pix2pix(const uint8_t* input, const float* network, uint8_t* output, size_t n);

void pix2pix_fin();

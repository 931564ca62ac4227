// The part that is yours. main.cpp calls the three in this order, and times the second alone.
#pragma once

extern int num_to_gen;  // faces; known before facegen_init

void facegen_init();

// network: the weights in the order of README.md; inputs: (n, 100); outputs: (n, 64, 64, 3), HWC.
void facegen(int n, const float* network, const float* inputs, float* outputs);

void facegen_fin();

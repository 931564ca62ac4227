// The part that is yours. main.cpp calls the three in this order, and times the second alone.
#pragma once

void ColorizerInit();

// input: L of n pictures (n, 256, 256); network: the weights in the order of README.md;
// output: a and b, (n, 2, 256, 256).
void Colorize(const float* input, const float* network, float* output, int n);

void ColorizerFinalize();

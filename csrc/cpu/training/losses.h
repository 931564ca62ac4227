// Losses of each image, and their gradients in the prediction.
#pragma once

#include "cpu/training/call.h"

namespace facegen::cpu {

// call.x is the prediction, call.dx its gradient. `target`: float32 numbers as the prediction's, or
// int32 labels of its pixels, each below the number of channels; null where the loss takes none. Both
// `target` and `losses` (images) are the whole batch's, of whose mean the gradient is. A batch, and its
// part, is whole groups of images (loss_group). The gradient is times the loss's weight, `losses` are
// not.
void find_loss(const TrainingStepCall& call, const void* target, double* losses);

}  // namespace facegen::cpu

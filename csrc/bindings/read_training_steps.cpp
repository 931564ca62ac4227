#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "training_reader.h"

namespace facegen {
namespace {

const std::map<std::string, TrainingOp> kOps = {
    {"Gemm", TrainingOp::kGemm},
    {"WeightGradient", TrainingOp::kWeightGradient},
    {"Depthwise", TrainingOp::kDepthwise},
    {"DepthwiseGradient", TrainingOp::kDepthwiseGradient},
    {"DepthwiseWeightGradient", TrainingOp::kDepthwiseWeightGradient},
    {"BiasGradient", TrainingOp::kBiasGradient},
    {"Activate", TrainingOp::kActivate},
    {"ActivateGradient", TrainingOp::kActivateGradient},
    {"Prelu", TrainingOp::kPrelu},
    {"PreluGradient", TrainingOp::kPreluGradient},
    {"Multiply", TrainingOp::kMultiply},
    {"MultiplySum", TrainingOp::kMultiplySum},
    {"Softmax", TrainingOp::kSoftmax},
    {"SoftmaxGradient", TrainingOp::kSoftmaxGradient},
    {"Shuffle", TrainingOp::kShuffle},
    {"Rearrange", TrainingOp::kRearrange},
    {"MaxPool", TrainingOp::kMaxPool},
    {"MaxPoolGradient", TrainingOp::kMaxPoolGradient},
    {"GlobalAvgPool", TrainingOp::kGlobalAvgPool},
    {"GlobalAvgPoolGradient", TrainingOp::kGlobalAvgPoolGradient},
    {"BatchNorm", TrainingOp::kBatchNorm},
    {"BatchNormGradient", TrainingOp::kBatchNormGradient},
    {"InstanceNorm", TrainingOp::kInstanceNorm},
    {"InstanceNormGradient", TrainingOp::kInstanceNormGradient},
    {"LayerNorm", TrainingOp::kLayerNorm},
    {"LayerNormGradient", TrainingOp::kLayerNormGradient},
    {"Copy", TrainingOp::kCopy},
    {"Resample", TrainingOp::kResample},
    {"ResampleGradient", TrainingOp::kResampleGradient},
    {"Dropout", TrainingOp::kDropout},
    {"Loss", TrainingOp::kLoss},
    {"UpdateStatistics", TrainingOp::kUpdateStatistics},
    {"Update", TrainingOp::kUpdate},
};
const std::map<std::string, Activation> kActivations = {
    {"none", Activation::kNone},
    {"relu", Activation::kRelu},
    {"leaky_relu", Activation::kLeakyRelu},
    {"tanh", Activation::kTanh},
    {"clip", Activation::kClip},
    {"elu", Activation::kElu},
    {"sigmoid", Activation::kSigmoid},
    {"hard_sigmoid", Activation::kHardSigmoid},
    {"hard_swish", Activation::kHardSwish},
    {"silu", Activation::kSilu},
    {"gelu", Activation::kGelu},
    {"gelu_tanh", Activation::kGeluTanh},
    {"mish", Activation::kMish},
    {"softplus", Activation::kSoftplus},
    {"exp", Activation::kExp},
    {"log", Activation::kLog},
    {"abs", Activation::kAbs},
    {"sqrt", Activation::kSqrt},
    {"sign", Activation::kSign},
    {"reciprocal", Activation::kReciprocal},
};

}  // namespace

TrainingStep TrainingReader::read_step(const py::object& object) const {
  TrainingStep s;
  s.op = named(kOps, kind_of(object));
  s.name = field<std::string>(object, "name");
  const auto has = [&](const char* name) { return py::hasattr(object, name); };
  if (has("accumulate")) s.accumulate = field<bool>(object, "accumulate");
  if (has("activation")) {
    s.activation = named(kActivations, field<std::string>(object, "activation"));
    std::tie(s.alpha, s.limit) = field<std::pair<float, float>>(object, "numbers");
  }
  const bool writes_y = !has("dx") && !has("dy");
  if (has("x")) s.x = value(object.attr("x"));
  if (has("y")) s.y = writes_y ? written(object.attr("y")) : value(object.attr("y"));
  if (has("dy")) s.dy = value(object.attr("dy"));
  if (has("dx") && !object.attr("dx").is_none()) s.dx = written(object.attr("dx"));
  if (has("other")) s.other = value(object.attr("other"));
  // Gradients of what is trained may be all that is wanted of these.
  const bool may_end = s.op == TrainingOp::kBatchNormGradient ||
                       s.op == TrainingOp::kInstanceNormGradient ||
                       s.op == TrainingOp::kLayerNormGradient ||
                       s.op == TrainingOp::kPreluGradient;
  require(!has("dx") || s.dx >= 0 || may_end, s.name + ": no dx");
  for (const int32_t index : {s.x, s.other, s.y, s.dy}) {
    require(index < 0 || at(index).kind != ValueKind::kTarget, s.name + ": reads the target");
  }
  switch (s.op) {
    case TrainingOp::kGemm:
    case TrainingOp::kWeightGradient: {
      const TrainingValue& map = at(s.op == TrainingOp::kGemm ? s.y : s.dy);
      read_phases(object, s, map);
      if (s.op == TrainingOp::kGemm) {
        s.transposed = field<bool>(object, "transposed");
        s.direct_only = field<bool>(object, "direct_only");
        if (!object.attr("bias").is_none()) s.bias = array(object.attr("bias"), map.c);
      }
      const int64_t ins = s.transposed ? map.c : at(s.x).c, outs = s.transposed ? at(s.x).c : map.c;
      int64_t groups = 1;
      if (!object.attr("part").is_none()) groups = read_part(object.attr("part"), s, ins, outs);
      s.weight =
          array(object.attr("weight"), product({outs, s.kernel_h, s.kernel_w, ins / groups}));
      break;
    }
    case TrainingOp::kDepthwise:
    case TrainingOp::kDepthwiseGradient:
    case TrainingOp::kDepthwiseWeightGradient: read_depthwise(object, s); break;
    case TrainingOp::kBiasGradient: s.bias = array(object.attr("bias"), at(s.dy).c); break;
    case TrainingOp::kActivate: require_same(s.x, s.y, s.name); break;
    case TrainingOp::kPrelu:
    case TrainingOp::kPreluGradient:
      s.slope = array(object.attr("slope"), at(s.x).c);
      require_same(s.x, s.op == TrainingOp::kPrelu ? s.y : s.dy, s.name);
      break;
    case TrainingOp::kMultiply: {
      require_same(s.x, s.y, s.name);
      require_spread(at(s.other), at(s.x), s.name);
      break;
    }
    case TrainingOp::kMultiplySum:
      require_same(s.x, s.dy, s.name);
      require_spread(at(s.dx), at(s.x), s.name);
      break;
    case TrainingOp::kSoftmax:
    case TrainingOp::kSoftmaxGradient:
      s.log = field<bool>(object, "log");
      require_same(s.op == TrainingOp::kSoftmax ? s.x : s.dx, s.y, s.name);
      break;
    case TrainingOp::kShuffle:
      read_groups(object, s);
      require_same(s.x, s.y, s.name);
      break;
    case TrainingOp::kRearrange: read_blocks(object, s); break;
    case TrainingOp::kActivateGradient:
      require_same(s.y, s.dy, s.name);
      require_same(s.y, s.dx, s.name);
      break;
    case TrainingOp::kMaxPool: read_pool(object, s); break;
    case TrainingOp::kMaxPoolGradient:
      read_pool(object, s);
      require(s.activation <= Activation::kLeakyRelu, s.name + ": of an activation that is no ReLU");
      require_same(s.y, s.dy, s.name);
      require_same(s.x, s.dx, s.name);
      break;
    case TrainingOp::kGlobalAvgPool:
    case TrainingOp::kGlobalAvgPoolGradient: {
      const bool forward = s.op == TrainingOp::kGlobalAvgPool;
      const TrainingValue &large = at(forward ? s.x : s.dx), &small = at(forward ? s.y : s.dy);
      require(small.pixels() == 1 && small.c == large.c, s.name + ": no pixel of its channels");
      break;
    }
    case TrainingOp::kBatchNorm:
    case TrainingOp::kBatchNormGradient:
      read_norm(object, s);
      s.statistics = statistics(object.attr("statistics"), int64_t{3} * at(s.x).c);
      s.stored = field<bool>(object, "stored");
      break;
    case TrainingOp::kInstanceNorm:
    case TrainingOp::kInstanceNormGradient:
      read_norm(object, s);
      s.statistics = written(object.attr("statistics"));
      require(at(s.statistics).floats() == int64_t{2} * at(s.x).c,
              s.name + ": statistics of another size");
      read_groups(object, s);
      break;
    case TrainingOp::kLayerNorm:
    case TrainingOp::kLayerNormGradient:
      s.gamma = array(object.attr("gamma"), at(s.x).c);
      s.beta = array(object.attr("beta"), at(s.x).c);
      s.statistics = written(object.attr("statistics"));
      require_same(s.x, s.op == TrainingOp::kLayerNorm ? s.y : s.dy, s.name);
      require(at(s.statistics).floats() == 2 * at(s.x).pixels(),
              s.name + ": statistics of another size");
      break;
    case TrainingOp::kCopy:
      s.channels = field<int32_t>(object, "channels");
      s.first_x = field<int32_t>(object, "first_x");
      s.first_y = field<int32_t>(object, "first_y");
      s.scale = field<float>(object, "scale");
      s.shift = field<float>(object, "shift");
      s.zero_rest = field<bool>(object, "zero_rest");
      require(!s.zero_rest || (!s.accumulate && s.x != s.y), s.name + ": zeros where it adds");
      require(at(s.x).pixels() == at(s.y).pixels() && s.channels >= 1 &&
                  in_range(s.first_x, 0, at(s.x).c - s.channels) &&
                  in_range(s.first_y, 0, at(s.y).c - s.channels),
              s.name + ": copies what is not there");
      break;
    case TrainingOp::kResample:
    case TrainingOp::kResampleGradient: {
      const bool forward = s.op == TrainingOp::kResample;
      const TrainingValue &in = at(forward ? s.x : s.dx), &out = at(forward ? s.y : s.dy);
      require(in.c == out.c, s.name + ": two numbers of channels that should be one");
      s.rows = read_taps(object.attr("rows"), in.h, out.h, s);
      s.columns = read_taps(object.attr("columns"), in.w, out.w, s);
      break;
    }
    case TrainingOp::kDropout:
      s.share = field<float>(object, "share");
      s.stream = field<int32_t>(object, "stream");
      require(s.share >= 0.0f && s.share < 1.0f && s.stream >= 0, s.name + ": no such share");
      require_same(s.x, s.y, s.name);
      break;
    case TrainingOp::kLoss: read_loss(object, s); break;
    case TrainingOp::kUpdateStatistics: {
      const int64_t c = at(s.x).c;
      s.mean = array(object.attr("mean"), c);
      s.var = array(object.attr("var"), c);
      s.statistics = statistics(object.attr("statistics"), 3 * c);
      s.momentum = field<float>(object, "momentum");
      break;
    }
    case TrainingOp::kUpdate: read_update(object, s); break;
  }
  if (s.op == TrainingOp::kBatchNorm) {
    s.mean = array(object.attr("mean"), at(s.x).c);
    s.var = array(object.attr("var"), at(s.x).c);
  }
  if (has("eps")) s.eps = field<float>(object, "eps");
  if (has("trained")) s.trained = field<bool>(object, "trained");
  if (may_end) require_same(s.x, s.dy, s.name);
  if (s.dx >= 0 && s.x >= 0 && s.op != TrainingOp::kMultiplySum) require_same(s.x, s.dx, s.name);
  if (s.dy >= 0 && s.y >= 0) require_same(s.y, s.dy, s.name);
  return s;
}

void TrainingReader::read_norm(const py::object& object, TrainingStep& s) const {
  const int64_t c = at(s.x).c;
  s.gamma = array(object.attr("gamma"), c);
  s.beta = array(object.attr("beta"), c);
  require_same(s.x, s.y, s.name);
}

void TrainingReader::read_groups(const py::object& object, TrainingStep& s) const {
  s.groups = field<int32_t>(object, "groups");
  require(s.groups >= 1 && at(s.x).c % s.groups == 0,
          s.name + ": groups that do not divide their channels");
}

void TrainingReader::read_blocks(const py::object& object, TrainingStep& s) const {
  s.block = field<int32_t>(object, "block");
  s.depth_first = field<bool>(object, "depth_first");
  const TrainingValue &x = at(s.x), &y = at(s.y);
  const TrainingValue &small = x.pixels() < y.pixels() ? x : y, &large = &small == &x ? y : x;
  require(in_range(s.block, 1, kMostPositions) &&
              int64_t{small.h} * s.block == large.h && int64_t{small.w} * s.block == large.w &&
              small.floats() == large.floats(),
          s.name + ": blocks that do not divide their map");
}

// One pixel, or one channel, for all of a map; or one of its shape.
void TrainingReader::require_spread(const TrainingValue& other, const TrainingValue& map,
                                    const std::string& name) const {
  const bool same_pixels = other.h == map.h && other.w == map.w;
  require((other.c == map.c && (same_pixels || other.pixels() == 1)) ||
              (other.c == 1 && same_pixels),
          name + ": factors of another shape");
}

}  // namespace facegen

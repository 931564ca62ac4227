#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "training_reader.h"

namespace facegen {
namespace {

const std::map<std::string, LossKind> kLosses = {
    {"cross_entropy", LossKind::kCrossEntropy},
    {"soft_cross_entropy", LossKind::kSoftCrossEntropy},
    {"binary_cross_entropy", LossKind::kBinaryCrossEntropy},
    {"l1", LossKind::kL1},
    {"l2", LossKind::kL2},
    {"given", LossKind::kGiven},
    {"relativistic_pairs", LossKind::kRelativisticPairs},
};
const std::map<std::string, OptimizerKind> kOptimizers = {
    {"sgd", OptimizerKind::kSgd}, {"adam", OptimizerKind::kAdam}, {"adamw", OptimizerKind::kAdamW}};
const std::map<std::string, WeightRounding> kRoundings = {
    {"nearest", WeightRounding::kNearest}, {"stochastic", WeightRounding::kStochastic}};

// Of parameters with a rate of their own: far more than any optimizer has, and no number overflows.
constexpr int32_t kMostGroups = 1 << 20;

}  // namespace

void TrainingReader::read_loss(const py::object& object, TrainingStep& s) const {
  const py::object loss = object.attr("loss");
  s.loss = named(kLosses, field<std::string>(loss, "kind"));
  s.loss_weight = field<float>(loss, "weight");
  if (s.loss == LossKind::kRelativisticPairs) {
    s.penalty = field<float>(loss, "penalty");
    s.generator = field<bool>(loss, "generator");
  }
  s.x = value(object.attr("prediction"));
  require(at(s.x).kind != ValueKind::kTarget, s.name + ": the prediction is the target");
  s.dx = written(object.attr("gradient"));
  require_same(s.x, s.dx, s.name);
  const bool none = s.loss == LossKind::kRelativisticPairs;
  require(none == object.attr("target").is_none(), s.name + ": a target too many, or none");
  if (none) return;
  s.y = value(object.attr("target"));
  require(at(s.y).kind == ValueKind::kTarget && at(s.y).pixels() == at(s.x).pixels(),
          s.name + ": another target");
  require(at(s.y).c == (takes_labels(s) ? 1 : at(s.x).c), s.name + ": a target of other channels");
  int32_t& target = program_.targets[std::size_t(at(s.y).index)];
  require(target < 0, s.name + ": a target that another loss takes");
  target = s.y;
}

void TrainingReader::read_update(const py::object& object, TrainingStep& s) const {
  const auto floats = field<int64_t>(object, "floats");
  s.weight = array(object.attr("parameter"), floats);
  s.optimizer = named(kOptimizers, field<std::string>(object, "optimizer"));
  s.rate_group = field<int32_t>(object, "group");
  require(in_range(s.rate_group, 0, kMostGroups - 1),
          s.name + ": group " + std::to_string(s.rate_group) + ", expected 0 to " +
              std::to_string(kMostGroups - 1));
  program_.rate_groups = std::max(program_.rate_groups, s.rate_group + 1);
  const py::tuple moments = object.attr("moments");
  const bool sgd = s.optimizer == OptimizerKind::kSgd;
  require(sgd ? moments.size() <= 1 : moments.size() == 2, "moments that the optimizer has not");
  if (moments.size() > 0) s.first_moment = array(moments[0], floats);
  if (moments.size() > 1) s.second_moment = array(moments[1], floats);
  s.weight_decay = field<double>(object, "weight_decay");
  s.momentum = field<float>(object, "momentum");
  s.nesterov = field<bool>(object, "nesterov");
  std::tie(s.beta1, s.beta2) = field<std::pair<double, double>>(object, "betas");
  if (!object.attr("rounding").is_none()) {
    s.rounding = named(kRoundings, field<std::string>(object, "rounding"));
  }
  s.stream = field<int32_t>(object, "stream");
  require(s.stream >= 0, s.name + ": stream " + std::to_string(s.stream) + ", expected 0 or more");
  if (!object.attr("average").is_none()) s.average = array(object.attr("average"), floats);
  if (s.average < 0) return;
  s.decay_group = field<int32_t>(object, "decay_group");
  require(in_range(s.decay_group, 0, kMostGroups), s.name + ": an average's decay that is no rate");
  program_.rate_groups = std::max(program_.rate_groups, s.decay_group + 1);
}

}  // namespace facegen

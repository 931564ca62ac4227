#include "cpu/direct_gemm.h"

#include <algorithm>
#include <cstdlib>

#include "cpu/pad_rows.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// Longest sum: its weights for one tile are 128 KiB.
constexpr int kMostTerms = 1024;

// Shorter lines of outputs would leave most of a tile empty.
constexpr int kFewestRows = 8;

// Rows this far apart, or a multiple of it, share one set of the L1 cache, which holds fewer lines
// than a tile has rows.
constexpr int64_t kSetBytes = 4096;

// All rows meet so much of the weights, which stays in L2, before the next part.
constexpr int64_t kPartBytes = int64_t{256} << 10;

// Tiles of a chunk, and rows of a tile: a chunk's rows of A meet a tile's weights while these are in
// L1.
constexpr int kChunkTiles = 8;
constexpr int kTileRows = 14;

// A thread should have so many pieces, so that none waits long for another.
constexpr int64_t kPiecesAThread = 4;

// First and last input position, relative to output * step, that an axis reads.
int lowest(const Axis& axis) { return axis.base + std::min(0, (axis.taps - 1) * axis.dir); }
int highest(const Axis& axis) { return axis.base + std::max(0, (axis.taps - 1) * axis.dir); }

// The tap that reads the i-th position from the lowest.
int tap_at(const Axis& axis, int i) {
  return axis.first_tap + (axis.dir > 0 ? i : axis.taps - 1 - i) * axis.tap_step;
}

int padding_before(const Axis& x) { return x.taps > 0 ? std::max(0, -lowest(x)) : 0; }
int padding_after(const Axis& x, int size) {
  return x.taps > 0 ? std::max(0, (x.out - 1) * x.step + highest(x) + 1 - size) : 0;
}

View as_line(View view) {
  view.w *= view.h;
  view.h = 1;
  return view;
}

// Outputs one after another read inputs one after another, over the whole map.
bool same_pixels(const Step& step) {
  if (step.phase_count != 1 || step.in.h != step.out.h || step.in.w != step.out.w) return false;
  const auto plain = [](const Axis& a) { return a.taps == 1 && a.step == 1 && a.base == 0; };
  return plain(step.phases[0].y) && plain(step.phases[0].x);
}

// Which the kernel does; others take too many instructions, or have constants by channel.
bool activates_in_registers(Activation activation) {
  return activation == Activation::kNone || activation == Activation::kRelu ||
         activation == Activation::kLeakyRelu || activation == Activation::kClip;
}

}  // namespace

bool DirectGemm::suits(const Step& step, const Kernels& kernels) {
  const Epilogue& e = step.epilogue;
  if (step.finish != nullptr) return false;
  if (kernels.products != Products::kFloat32 || !activates_in_registers(e.activation)) return false;
  if (e.other.buffer >= 0 && (e.combine != Combine::kAdd || e.after_activation)) return false;
  if (e.scale != nullptr || e.shift != nullptr) return false;
  int line_rows = same_pixels(step) ? step.out.h * step.out.w : 0;
  for (int i = 0; i < step.phase_count; ++i) {
    const auto& [y, x] = step.phases[i];
    if (y.out <= 0 || x.out <= 0) continue;
    line_rows = std::max(line_rows, x.out);
    if (int64_t{1} * y.taps * x.taps * step.in.c > kMostTerms) return false;
    if (int64_t{4} * x.step * step.in.pixel_stride % kSetBytes == 0) return false;
    const int64_t padding = int64_t{padding_before(x)} + padding_after(x, step.in.w);
    const bool neighbours = x.taps <= 1 || std::abs(x.dir) == 1;
    if (!neighbours) return false;
    if ((x.taps > 1 || padding > 0) && step.in.pixel_stride != step.in.c) return false;
    if (!worth_padding(step.in.w, padding)) return false;
  }
  return line_rows >= kFewestRows;
}

bool DirectGemm::has_lines(const Step& step) {
  return step.phase_count == 1 && !same_pixels(step) && step.epilogue.other.buffer < 0;
}

DirectGemm::DirectGemm(const Step& step, const Kernels& kernels)
    : kernels_(kernels),
      in_(step.in),
      out_(step.out),
      epilogue_(step.epilogue),
      bias_source_(step.bias),
      kernel_w_(step.kernel_w),
      has_bias_(step.bias != nullptr),
      same_pixels_(same_pixels(step)) {
  if (same_pixels_) {
    for (View* view : {&in_, &out_, &epilogue_.other}) *view = as_line(*view);
  }
  for (int i = 0; i < step.phase_count; ++i) {
    Phase phase = step.phases[i];
    auto& [y, x] = phase;
    if (y.out <= 0 || x.out <= 0) continue;
    if (same_pixels_) {
      x.out *= y.out;
      x.out_step = 1;  // a line of one output a row may state another, of a stride
      y.out = 1;
    }
    add_phase(phase);
    lines_ = std::max(lines_, y.out);
    line_rows_ = std::max(line_rows_, x.out);
    pad_left_ = std::max(pad_left_, padding_before(x));
    pad_right_ = std::max(pad_right_, padding_after(x, in_.w));
  }
  in_.w += pad_left_ + pad_right_;
  int64_t weight_floats = 0, bias_floats = 0;
  for (Bundle& bundle : bundles_) {
    lay_out(bundle);
    bundle.weights = weight_floats;
    bundle.bias = bias_floats;
    weight_floats += bundle.panels * bundle.panel_floats(kernels.panel_columns);
    bias_floats += bundle.panels * kernels.panel_columns;
    parts_ = std::max(parts_, 4 * bundle.panels * bundle.panel_floats(kernels.panel_columns) / kPartBytes);
  }
  weights_ = allocate_aligned<float>(weight_floats);
  bias_ = allocate_aligned<float>(bias_floats);
  std::fill_n(bias_.get(), bias_floats, 0.0f);
}

void DirectGemm::pack(const Weights& weights, int threads) {
  parallel_for(static_cast<int64_t>(bundles_.size()), threads, [&](int64_t i, int) {
    pack_bundle(bundles_[static_cast<std::size_t>(i)], weights);
  });
}

void DirectGemm::add_phase(const Phase& phase) {
  const auto alike = [](const Axis& a, const Axis& b) {
    return a.out == b.out && a.step == b.step && a.base == b.base && a.dir == b.dir &&
           a.taps == b.taps;
  };
  for (Bundle& bundle : bundles_) {
    const Phase& other = bundle.phases.front();
    if (alike(phase.y, other.y) && alike(phase.x, other.x)) {
      bundle.phases.push_back(phase);
      return;
    }
  }
  Bundle bundle = {};
  bundle.phases.push_back(phase);
  bundle.runs = phase.x.taps > 0 ? phase.y.taps : 0;
  bundle.run_floats = phase.x.taps * in_.c;
  bundles_.push_back(bundle);
}

// Where the columns of a bundle's panels go, relative to the row's output pixel of origin (0, 0).
void DirectGemm::lay_out(Bundle& bundle) const {
  const int lanes = kernels_.panel_columns;
  const int columns = static_cast<int>(bundle.phases.size()) * out_.c;
  bundle.panels = static_cast<int>(divide_up(columns, lanes));
  for (int column = 0; column < columns; ++column) {
    const auto& [y, x] = bundle.phases[static_cast<std::size_t>(column / out_.c)];
    const int64_t pixel = int64_t{y.out_origin} * out_.w + x.out_origin;
    const int64_t out = pixel * out_.pixel_stride + column % out_.c;
    const int64_t add = pixel * epilogue_.other.pixel_stride + column % out_.c;
    const int lane = column % lanes;
    if (lane == 0) bundle.first_run.push_back(static_cast<int>(bundle.lane_runs.size()));
    if (lane > 0) {
      LaneRun& run = bundle.lane_runs.back();
      if (run.out + run.count == out && (epilogue_.other.buffer < 0 || run.add + run.count == add)) {
        ++run.count;
        continue;
      }
    }
    bundle.lane_runs.push_back({lane, 1, out, add});
  }
  bundle.first_run.push_back(static_cast<int>(bundle.lane_runs.size()));
}

// The weights as rows (phase, output channel) x (run, pixel of the run, channel), then as panels.
void DirectGemm::pack_bundle(const Bundle& bundle, const Weights& weights) {
  const int depth = bundle.runs * bundle.run_floats;
  std::vector<float> rows;
  float* bias = bias_.get() + bundle.bias;
  for (const auto& [y, x] : bundle.phases) {
    for (int n = 0; n < out_.c; ++n) {
      if (has_bias_) *bias++ = bias_source_[n];
      for (int run = 0; run < bundle.runs; ++run) {
        for (int i = 0; i < x.taps; ++i) {
          const int64_t tap = int64_t{1} * tap_at(y, run) * kernel_w_ + tap_at(x, i);
          const float* from = weights.data + n * weights.output_stride + tap * weights.tap_stride;
          for (int64_t c = 0; c < in_.c; ++c) rows.push_back(from[c * weights.input_stride]);
        }
      }
    }
  }
  const int64_t no_offset = 0;
  const int columns = static_cast<int>(bundle.phases.size()) * out_.c;
  kernels_.pack({rows.data(), depth, &no_offset, columns}, {1, depth},
                weights_.get() + bundle.weights);
}

Images DirectGemm::pad(int64_t images, Images in, int threads) const {
  if (pad_left_ + pad_right_ == 0) return in;
  return pad_rows(images, in, in_, pad_left_, pad_right_, threads);
}

void DirectGemm::run(int64_t images, Images in, Images out, Images add, int threads) const {
  in = pad(images, in, threads);
  const auto dense = [](Images map, const View& view) {
    return map.data == nullptr || map.image_stride == int64_t{view.h} * view.w * view.pixel_stride;
  };
  const bool one_line =
      same_pixels_ && dense(in, in_) && dense(out, out_) && dense(add, epilogue_.other);
  Pieces pieces = {};
  pieces.images_a_line = one_line ? images : 1;
  pieces.lines = one_line ? 1 : images * lines_;
  pieces.in = in, pieces.out = out, pieces.add = add;
  // Enough pieces for the threads, none shorter than a tile.
  const int64_t rows = line_rows_ * pieces.images_a_line;
  const int64_t tiles = divide_up(rows, kTileRows);
  const int64_t wanted = threads > 1 ? divide_up(kPiecesAThread * threads, pieces.lines * parts_) : 1;
  pieces.chunks = std::max(divide_up(tiles, kChunkTiles), std::min(tiles, wanted));
  parallel_for(parts_ * pieces.lines * pieces.chunks, threads,
               [&](int64_t task, int) { run_piece(pieces, task); });
}

// Chunk by chunk, then line by line: all of them meet one part of the weights before the next.
void DirectGemm::run_piece(const Pieces& pieces, int64_t task) const {
  const int64_t chunk = task % pieces.chunks, line = task / pieces.chunks % pieces.lines;
  const int64_t part = task / pieces.chunks / pieces.lines;
  const int64_t image = line / lines_;
  const auto oy = static_cast<int>(line % lines_);
  const int64_t row = int64_t{oy} * bundles_.front().phases.front().y.out_step * out_.w;
  const float* in = pieces.in.data + image * pieces.in.image_stride;
  float* out = pieces.out.data + image * pieces.out.image_stride + row * out_.pixel_stride;
  const float* add = pieces.add.data == nullptr
                         ? nullptr
                         : pieces.add.data + image * pieces.add.image_stride +
                               row * epilogue_.other.pixel_stride;
  for (const Bundle& bundle : bundles_) {
    const int64_t outputs = bundle.phases.front().x.out * pieces.images_a_line;
    const int64_t pairs = divide_up(bundle.panels, 2);  // as the kernel takes them
    run_rows(bundle, oy,
             {outputs * chunk / pieces.chunks, outputs * (chunk + 1) / pieces.chunks,
              static_cast<int>(pairs * part / parts_ * 2),
              static_cast<int>(std::min<int64_t>(pairs * (part + 1) / parts_ * 2, bundle.panels))},
             in, out, add);
  }
}

void DirectGemm::run_line(int oy, const float* in, float* out) const {
  for (const Bundle& bundle : bundles_) {
    run_rows(bundle, oy, {0, bundle.phases.front().x.out, 0, bundle.panels}, in, out, nullptr);
  }
}

// A rectangle of outputs of line oy; `out` and `add` are the line's first pixel.
void DirectGemm::run_rows(const Bundle& bundle, int oy, const Rectangle& part, const float* in,
                          float* out, const float* add) const {
  const auto& [y, x] = bundle.phases.front();
  if (oy >= y.out || part.first >= part.last || part.panel >= part.panel_end) return;
  const int lanes = kernels_.panel_columns;

  // Runs outside the input are left out.
  const int dilation = std::abs(y.dir), top = oy * y.step + lowest(y), below = in_.h - top;
  const int first_run = top >= 0 ? 0 : static_cast<int>(divide_up(-top, dilation));
  const int runs_end = below <= 0 ? 0 : static_cast<int>(divide_up(below, dilation));
  const int64_t in_row = int64_t{in_.w} * in_.pixel_stride;

  DirectLine line = {};
  line.in_stride = x.step * in_.pixel_stride;
  line.rows = static_cast<int>(part.last - part.first);
  line.runs = std::max(0, std::min(bundle.runs, runs_end) - first_run);
  line.run_floats = bundle.run_floats;
  line.run_stride = dilation * in_row;
  if (line.runs > 0) {
    line.in = in + (int64_t{top} + first_run * dilation) * in_row +
              (lowest(x) + pad_left_) * in_.pixel_stride + part.first * line.in_stride;
  }
  line.panel_floats = bundle.panel_floats(lanes);
  line.weights = weights_.get() + bundle.weights + part.panel * line.panel_floats;
  if (line.runs > 0) line.weights += int64_t{first_run} * bundle.run_floats * lanes;
  line.panels = part.panel_end - part.panel;
  line.first_run = bundle.first_run.data() + part.panel;
  line.lane_runs = bundle.lane_runs.data();
  line.bias = has_bias_ ? bias_.get() + bundle.bias + int64_t{part.panel} * lanes : nullptr;
  line.activation = epilogue_.activation;
  line.alpha = epilogue_.alpha, line.beta = epilogue_.beta;
  line.out_stride = x.out_step * out_.pixel_stride;
  line.out = out + part.first * line.out_stride;
  if (add != nullptr) {
    line.add_stride = x.out_step * epilogue_.other.pixel_stride;
    line.add = add + part.first * line.add_stride;
  }
  kernels_.direct_multiply(line);
}

Costs DirectGemm::costs() const {
  Costs costs;
  if (pad_left_ + pad_right_ > 0) costs.scratch_bytes = 4 * in_.h * in_.w * in_.pixel_stride;
  for (const Bundle& bundle : bundles_) {
    costs.weight_bytes += 4 * bundle.panels * bundle.panel_floats(kernels_.panel_columns);
  }
  return costs;
}

}  // namespace facegen::cpu

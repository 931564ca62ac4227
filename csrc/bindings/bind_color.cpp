#include <pybind11/numpy.h>

#include <stdexcept>
#include <string>

#include "arguments.h"
#include "bindings.h"
#include "color/lab.h"
#include "color/pixels.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

// Pixels of an array (n, channels).
int64_t pixels_of(const py::array& array, const char* name, int64_t channels) {
  if (array.ndim() != 2 || array.shape(1) != channels) {
    throw py::value_error(std::string(name) + " must have shape (n, " + std::to_string(channels) +
                          ")");
  }
  return array.shape(0);
}

template <typename From, typename To>
using Convert = void (*)(const From*, int64_t, int, To*);

// Binds `convert` from pixels of three values to pixels of `to_channels` that the caller made.
template <typename From, typename To>
void bind_conversion(py::module_& m, const char* name, Convert<From, To> convert,
                     int64_t to_channels, const char* doc) {
  using FromArray = py::array_t<From, py::array::c_style>;
  using ToArray = py::array_t<To, py::array::c_style>;
  m.def(
      name,
      [convert, to_channels](const FromArray& from, ToArray to, int64_t threads) {
        const int64_t pixels = pixels_of(from, "from", 3);
        if (pixels_of(to, "to", to_channels) != pixels) {
          throw py::value_error("from and to must have as many pixels");
        }
        require_aligned(from, "from");
        require_aligned(to, "to");
        const int some = checked_threads(threads);
        const From* in = from.data();
        To* out = to.mutable_data();
        without_gil([&] { convert(in, pixels, some, out); });
      },
      py::arg("from_").noconvert(), py::arg("to").noconvert(), py::arg("threads") = 1, doc);
}

}  // namespace

void bind_color(py::module_& m) {
  const char* to_lab = "sRGB (n, 3), uint8 or float32 from 0 to 1, to L*a*b* (n, 3) float32.";
  bind_conversion<uint8_t, float>(m, "rgb_to_lab", &rgb_to_lab, 3, to_lab);
  bind_conversion<float, float>(m, "rgb_to_lab", &rgb_to_lab, 3, to_lab);
  const char* to_lightness = "sRGB (n, 3), uint8 or float32 from 0 to 1, to L (n, 1) float32.";
  bind_conversion<uint8_t, float>(m, "rgb_to_lightness", &rgb_to_lightness, 1, to_lightness);
  bind_conversion<float, float>(m, "rgb_to_lightness", &rgb_to_lightness, 1, to_lightness);
  const char* to_rgb = "L*a*b* (n, 3) float32 to sRGB (n, 3), uint8 or float32 from 0 to 1.";
  bind_conversion<float, uint8_t>(m, "lab_to_rgb", &lab_to_rgb, 3, to_rgb);
  bind_conversion<float, float>(m, "lab_to_rgb", &lab_to_rgb, 3, to_rgb);
  m.def(
      "values_to_pixels",
      [](const py::array_t<float, py::array::c_style>& values,
         py::array_t<uint8_t, py::array::c_style> pixels, int64_t threads) {
        if (values.size() != pixels.size()) {
          throw py::value_error("values and pixels must be as many");
        }
        require_aligned(values, "values");
        const int some = checked_threads(threads);
        const float* in = values.data();
        uint8_t* out = pixels.mutable_data();
        without_gil([&] { values_to_pixels(in, values.size(), some, out); });
      },
      py::arg("values").noconvert(), py::arg("pixels").noconvert(), py::arg("threads") = 1,
      "float32, -1 to 1, to uint8: (int)((x + 1) / 2 * 255), clamped; NaN becomes 0.");
}

}  // namespace facegen

// What every main.cpp needs: whole files in and out, and a clock. Handed out as it is.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

[[noreturn]] inline void fail(const std::string& file, const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", file.c_str(), what.c_str());
  std::exit(2);
}

// All of a file as values of T; `unit` values make one thing of it, and it must be whole ones.
template <class T>
std::vector<T> read_file(const std::string& path, size_t unit) {
  FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) fail(path, "cannot be opened");
  std::fseek(file, 0, SEEK_END);
  const long bytes = std::ftell(file);
  std::fseek(file, 0, SEEK_SET);
  const size_t unit_bytes = unit * sizeof(T);
  if (bytes <= 0 || static_cast<size_t>(bytes) % unit_bytes != 0) {
    fail(path, "expected a multiple of " + std::to_string(unit_bytes) + " bytes, found " +
                   std::to_string(bytes));
  }
  std::vector<T> values(static_cast<size_t>(bytes) / sizeof(T));
  if (std::fread(values.data(), sizeof(T), values.size(), file) != values.size()) {
    fail(path, "cannot be read");
  }
  std::fclose(file);
  return values;
}

// The weights: exactly so many float32.
inline std::vector<float> read_network(const std::string& path, size_t count) {
  std::vector<float> weights = read_file<float>(path, 1);
  if (weights.size() != count) {
    fail(path, "expected " + std::to_string(count * sizeof(float)) + " bytes, found " +
                   std::to_string(weights.size() * sizeof(float)));
  }
  return weights;
}

template <class T>
void write_file(const std::string& path, const std::vector<T>& values) {
  FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) fail(path, "cannot be opened");
  const bool written = std::fwrite(values.data(), sizeof(T), values.size(), file) == values.size();
  if (std::fclose(file) != 0 || !written) fail(path, "cannot be written");
}

inline double seconds_now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

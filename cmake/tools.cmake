# What a build needs of the machine. Each function ends the build with one line that says what is
# missing and which package has it, before CMake's own page about it.

# Indented text is not wrapped: the line stays one.
function(_stop_missing what debian fedora macos)
  message(FATAL_ERROR "  facegen: ${what}. "
    "Debian, Ubuntu: apt install ${debian}. Fedora: dnf install ${fedora}. macOS: ${macos}.")
endfunction()

function(require_cmake version)
  if(CMAKE_VERSION VERSION_LESS ${version})
    message(FATAL_ERROR "  facegen: CMake ${CMAKE_VERSION} was found, ${version} or newer is needed. "
      "Any system: pip install cmake.")
  endif()
endfunction()

# A macro: languages must be enabled where the project is.
macro(require_cxx gnu clang)
  include(CheckLanguage)
  check_language(CXX)
  if(NOT CMAKE_CXX_COMPILER)
    _stop_missing("no C++ compiler was found" "g++" "gcc-c++" "xcode-select --install")
  endif()
  enable_language(CXX)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS ${gnu})
    _stop_missing("GCC ${CMAKE_CXX_COMPILER_VERSION} was found, ${gnu} or newer is needed"
      "g++-${gnu}" "gcc-c++" "xcode-select --install")
  elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS ${clang})
    _stop_missing("Clang ${CMAKE_CXX_COMPILER_VERSION} was found, ${clang} or newer is needed"
      "clang-${clang}" "clang" "xcode-select --install")
  elseif(MSVC AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "  facegen: MSVC has no vector extensions, Clang is needed. "
      "Windows: winget install LLVM.LLVM, then set CXX=clang++.")
  endif()
endmacro()

macro(require_python version)
  find_package(Python ${version} QUIET COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.Module)
  if(NOT Python_Interpreter_FOUND)
    _stop_missing("no Python ${version} or newer was found" "python3" "python3" "brew install python")
  elseif(NOT Python_Development.Module_FOUND)
    _stop_missing("the headers of Python ${Python_VERSION} (Python.h) were not found"
      "python3-dev" "python3-devel" "brew install python")
  endif()
endmacro()

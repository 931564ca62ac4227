// Names of the tables of an instruction set, whose objects are compiled with FACEGEN_ISA=avx2, say:
// FACEGEN_TABLE(_kernels) is avx2_kernels, and FACEGEN_ISA_TEXT is "avx2".
#pragma once

#define FACEGEN_PASTE_(a, b) a##b
#define FACEGEN_PASTE(a, b) FACEGEN_PASTE_(a, b)
#define FACEGEN_TEXT_(a) #a
#define FACEGEN_TEXT(a) FACEGEN_TEXT_(a)

#define FACEGEN_TABLE(kind) FACEGEN_PASTE(FACEGEN_ISA, kind)
#define FACEGEN_ISA_TEXT FACEGEN_TEXT(FACEGEN_ISA)

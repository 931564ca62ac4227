# PROGRAM, RUN, OUTPUT and ANSWER come from the Makefile.
#
#   make            your program, the sequential one and compare
#   make check      runs yours and compares it with the answer
#   make grade      checks and gives points
#   PROGRAM.cu beside PROGRAM.cpp is compiled with nvcc and linked

CXX ?= g++
CXXFLAGS ?= -O3 -march=native -Wall
CXXFLAGS += -std=c++17 -pthread
NVCC ?= nvcc
NVCCFLAGS ?= -O3 -arch=native

OBJECTS = main.o $(PROGRAM).o
ifneq ($(wildcard $(PROGRAM).cu),)
OBJECTS += $(PROGRAM).cu.o
LDLIBS += -lcudart
endif

all: $(PROGRAM) sequential compare

$(PROGRAM): $(OBJECTS)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)

sequential: main.o sequential.o
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDFLAGS)

compare: compare.o
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDFLAGS)

%.o: %.cpp $(PROGRAM).h files.h
	$(CXX) $(CXXFLAGS) -c -o $@ $<

%.cu.o: %.cu $(PROGRAM).h
	$(NVCC) $(NVCCFLAGS) -c -o $@ $<

run: all
	$(RUN)

check: run
	./compare $(OUTPUT) $(ANSWER)

grade:
	python3 grade.py

clean:
	rm -f $(PROGRAM) sequential compare *.o $(OUTPUT)

.PHONY: all run check grade clean

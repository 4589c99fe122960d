# make demo     what this is good for, in about a minute
# make test     lint and the whole test suite
# make docs     the pages of docs/ as a site, build/site/index.html; warnings are errors
# make serving  a TorchScript model served from C++, its requests counted exactly
# make cuda-check   compile the kernels for GPUs, without one, and look at what they register
# make verify-cuda  on a GPU: its tests, and NVIDIA's compute-sanitizer over every op
# make wheel    dist/: the source distribution, and from it a wheel for every Linux since glibc 2.28
# make test-wheel   installs that wheel beside each of WHEEL_TORCHES, and nothing else, and tries it
# make verify   what takes longer than a test: models, sanitizers, storms; writes
#               docs/verification.md
# make bench    measure everything, with nothing beside it; writes docs/benchmarks.md
# PYTHON=python3.12 chooses the interpreter of a new environment, VENV=somewhere the environment,
# into which everything in requirements-dev.txt is installed.
# JOBS=4 runs as many tests at once.
PYTHON ?= python3
JOBS ?= 2
VENV ?= .venv
BIN := $(VENV)/bin

# The torch that a binary built against requirements-dev.txt has to work with as well.
ABI_TORCH ?= 2.14.1
ABI_VENV ?= .venv-abi
WHEEL_TORCHES ?= 2.13.0 $(ABI_TORCH)
ABI_TOOLS := numpy pytest pytest-timeout hypothesis setuptools

CXX_SOURCES := $(shell find csrc -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')
CXX_FILES := $(CXX_SOURCES) $(wildcard tests/*.cpp tests/verify/*/*.cpp tests/verify/*/*.h)
CXX_FILES += $(wildcard tests/cuda_on_cpu/*.* tests/cuda_on_cpu/toolkit/*.* examples/*/*.cpp tools/*.h)
REQUIREMENTS := $(VENV)/.requirements
PACKAGE := $(VENV)/.package

.PHONY: demo test docs serving verify verify-cuda lint format bench stubs wheel test-wheel test-abi
.PHONY: cuda-check clean

demo: $(PACKAGE)
	$(BIN)/python examples/demo.py

# The contended tests have all cores to themselves: beside others their workers would meet less.
test: lint
	$(BIN)/python -m pytest -m 'not contended' -n $(JOBS) --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -m contended

# Not --quiet, which hides warnings from --strict as well.
docs: $(REQUIREMENTS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

serving: $(PACKAGE)
	$(BIN)/python examples/serving_cpp/serving.py

verify: $(PACKAGE)
	$(BIN)/python tests/verify/run.py --write

# Where there is a GPU, its CUDA toolkit and a torch for it. With torch's cache of memory, memcheck sees
# the ends of blocks and not of tensors; racecheck looks at shared memory, of which kernels have none yet.
verify-cuda:
	CAFFE2OP_ATOMICS_CUDA=1 $(BIN)/python -m pip install --quiet --no-build-isolation --no-deps \
		--editable .
	$(BIN)/python -m pytest tests/test_cuda_build.py tests/test_cuda_instructions.py
	$(BIN)/python -m pytest -m gpu
	PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool memcheck --error-exitcode 1 \
		$(BIN)/python tests/verify/gpu_calls.py
	for tool in racecheck synccheck; do \
		compute-sanitizer --tool $$tool --error-exitcode 1 $(BIN)/python tests/verify/gpu_calls.py \
			|| exit 1; \
	done

# With the docs, which take seconds: a page that is lost or a broken link is found before a commit.
lint: $(PACKAGE) docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)

format: $(PACKAGE)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CXX_FILES)

bench: $(PACKAGE)
	$(BIN)/python benchmarks/run.py

# After a change of csrc/schema.cpp, once it is built: the types of torch.ops.atomics.
stubs: $(PACKAGE)
	$(BIN)/python tools/stubs.py

# It links against the user's torch: none is put in.
wheel: $(REQUIREMENTS)
	$(BIN)/python -m pip install --quiet --requirement requirements-wheel.txt
	rm -rf dist build/wheel
	CXX=$(CURDIR)/tools/manylinux_c++ ZIG="$(abspath $(BIN))/python -m ziglang" \
		CAFFE2OP_ATOMICS_CUDA=0 $(BIN)/python -m build --no-isolation --outdir build/wheel
	PATH=$(abspath $(BIN)):$$PATH auditwheel repair --plat manylinux_2_28_$$(uname -m) --only-plat \
		--exclude 'libtorch*.so' --exclude libc10.so --wheel-dir dist build/wheel/*.whl
	mv build/wheel/*.tar.gz dist
	$(BIN)/abi3audit --strict dist/*.whl
	$(BIN)/twine check --strict dist/*

# From tests/, so that the wheel is imported and not the source tree.
test-wheel: wheel
	for torch in $(WHEEL_TORCHES); do \
		python=$(CURDIR)/.venv-torch-$$torch/bin/python && \
		{ test -x $$python || $(PYTHON) -m venv .venv-torch-$$torch; } && \
		$$python -m pip install --quiet torch==$$torch && \
		$$python -m pip install --quiet --force-reinstall --no-deps dist/*.whl && \
		(cd tests && $$python -m caffe2op_atomics && $$python smoke.py && \
			$(abspath $(BIN))/mypy --config-file= --strict --python-executable $$python \
			typed.py) || exit 1; \
	done

test-abi: wheel
	test -d $(ABI_VENV) || $(PYTHON) -m venv $(ABI_VENV)
	$(ABI_VENV)/bin/python -m pip install --quiet torch==$(ABI_TORCH) $(ABI_TOOLS)
	$(ABI_VENV)/bin/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	cd tests && $(abspath $(ABI_VENV))/bin/pytest --ignore test_examples.py

# With the torch of test-abi, which has to be one for CUDA. Warnings of nvcc are errors.
cuda-check:
	test -d $(ABI_VENV) || $(PYTHON) -m venv $(ABI_VENV)
	$(ABI_VENV)/bin/python -m pip install --quiet torch==$(ABI_TORCH) $(ABI_TOOLS) wheel ninja
	CAFFE2OP_ATOMICS_CUDA=1 $(ABI_VENV)/bin/python -m pip wheel --quiet --no-build-isolation \
		--no-deps --wheel-dir build/cuda .
	$(ABI_VENV)/bin/python -m pip install --quiet --force-reinstall --no-deps build/cuda/*.whl
	cd tests && $(abspath $(ABI_VENV))/bin/pytest test_cuda_build.py test_cuda_instructions.py

clean:
	rm -rf build dist out *.egg-info caffe2op_atomics/*.so $(PACKAGE)

$(REQUIREMENTS): requirements-dev.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	touch $@

$(PACKAGE): $(REQUIREMENTS) setup.py pyproject.toml $(CXX_SOURCES)
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

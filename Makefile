# The words a person types. What each one does stands at the top of its script in tools/.
#   make serve PORT=50051 METRICS_PORT=9464 MODEL=FILE.gguf|DIRECTORY MODES=w4a16,w4a16+kv8 ARGS="--threads 2"
.PHONY: serve test check bench report format gpu-bundle
export PORT METRICS_PORT MODEL MODES ARGS TEXT

serve: ; @tools/serve
test: ; @tools/test
check: ; @tools/check
bench: ; @tools/bench
report: ; @tools/report
format: ; @tools/format
gpu-bundle: ; @tools/gpu_bundle

module rollcall.dev/e2e/workload

go 1.26.0

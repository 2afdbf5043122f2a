// What the table of xDS clients is made with: a caller by grpc-go, a caller by plain HTTP for Envoys, and the servers that
// are called by all. ../README.md has the contract that all callers share.
package main

import (
	"fmt"
	"os"
)

const usage = "usage: clients grpc INTERVAL-MS NAME=TARGET... | http INTERVAL-MS NAME=URL... | serve NAME ADDRESS | status ADDRESS"

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) > 2 && args[0] == "grpc":
		err = run(args[1], args[2:], newGrpc)
	case len(args) > 2 && args[0] == "http":
		err = run(args[1], args[2:], newHTTP)
	case len(args) == 3 && args[0] == "serve":
		err = serve(args[1], args[2])
	case len(args) == 2 && args[0] == "status":
		err = status(args[1])
	default:
		err = fmt.Errorf("%s", usage)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
}

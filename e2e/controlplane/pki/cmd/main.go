// Command pki writes keys and certificates for a control plane whose binaries were built elsewhere.
package main

import (
	"fmt"
	"os"

	"rollcall.dev/e2e/controlplane/pki"
)

func main() {
	if err := pki.Write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pki:", err)
		os.Exit(1)
	}
}

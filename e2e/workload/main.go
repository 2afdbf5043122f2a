// Command workload is everything that end-to-end tests run in pods, and the machines outside the cluster, in one static
// binary without dependencies: the first argument chooses. Its images are made from itself.
package main

import (
	"fmt"
	"os"
)

const usage = `usage: workload serve|call|resolve|get|dns|pause|image [FLAGS]
  serve             an HTTP server that says who it is, fails on request, and drains on SIGTERM
  call URL          calls a URL at a rate and reports as JSON lines
  resolve NAME      resolves a name at a rate and reports as JSON lines
  get URL           calls a URL once and prints the answer
  dns NAME=IP...    a DNS server of a few names, as there is one outside of every cluster
  pause             does nothing, and reaps what others leave
  image FILE        writes a Docker archive of itself, as workload and as pause image`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	commands := map[string]func([]string) error{
		"serve": serve, "call": call, "resolve": resolve, "get": get, "dns": dns, "pause": pause, "image": image,
	}
	command, known := commands[os.Args[1]]
	if !known {
		fmt.Fprintf(os.Stderr, "unknown command %q; %s\n", os.Args[1], usage)
		os.Exit(2)
	}
	if err := command(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "workload %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

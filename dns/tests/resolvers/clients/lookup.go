// Looks names up with Go's own resolver: a line for each name on the standard input, its addresses or what went wrong.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
)

func main() {
	resolver := &net.Resolver{PreferGo: true}
	names := bufio.NewScanner(os.Stdin)
	for names.Scan() {
		found, err := resolver.LookupHost(context.Background(), names.Text())
		said := strings.Join(found, " ")
		if err != nil {
			said = "! " + err.Error()
		}
		fmt.Println(names.Text(), said)
	}
}

package main

import (
	"context"
	"errors"
	"flag"
	"net"
	"slices"
	"strings"
)

// resolve asks for the IPv4 addresses of a name in a loop, as /etc/resolv.conf says. An answer is counted by its sorted
// addresses.
func resolve(args []string) error {
	flags := flag.NewFlagSet("resolve", flag.ExitOnError)
	p := paceFlags(flags)
	server := flags.String("server", "", "IP:PORT to ask instead of those of /etc/resolv.conf")
	name, err := parseOne(flags, args, "NAME")
	if err != nil {
		return err
	}
	resolver := &net.Resolver{PreferGo: true}
	if *server != "" {
		resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, *server)
		}
	}
	return p.loop(func(ctx context.Context) (string, error) {
		addresses, err := resolver.LookupNetIP(ctx, "ip4", name)
		if err != nil {
			return "", withoutPorts(err)
		}
		words := make([]string, len(addresses))
		for i, address := range addresses {
			words[i] = address.Unmap().String()
		}
		slices.Sort(words)
		return strings.Join(words, " "), nil
	})
}

// withoutPorts says what went wrong without the port of the question: equal faults are counted together.
func withoutPorts(err error) error {
	var failure *net.DNSError
	switch {
	case !errors.As(err, &failure):
		return err
	case failure.IsTimeout:
		return errors.New("timeout at " + failure.Server)
	case failure.IsNotFound:
		return errors.New("no such name, says " + failure.Server)
	default:
		text := failure.Err
		if _, after, found := strings.Cut(text, "->"); found {
			text = after
		}
		return errors.New(text)
	}
}

package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// dns answers A questions for the given names over UDP (RFC 1035), NXDOMAIN for others: the resolver of the network that
// a cluster is in.
func dns(args []string) error {
	flags := flag.NewFlagSet("dns", flag.ExitOnError)
	listen := flags.String("listen", ":53", "where it listens")
	drain := flags.Duration("drain", 0, "how long it goes on answering, not ready, after SIGTERM")
	if err := flags.Parse(args); err != nil {
		return err
	}
	records := map[string]netip.Addr{}
	for _, record := range flags.Args() {
		name, address, _ := strings.Cut(record, "=")
		ip, err := netip.ParseAddr(address)
		if err != nil || !ip.Is4() {
			return fmt.Errorf("%s is not NAME=IPv4", record)
		}
		records[strings.ToLower(strings.TrimSuffix(name, "."))] = ip
	}
	socket, err := net.ListenPacket("udp", *listen)
	if err != nil {
		return err
	}
	// Probes cannot see a UDP socket, so there is a TCP one that comes after it.
	probed, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	go closeAll(probed)
	go endOnSignal(probed, *drain)
	fmt.Printf("%d names at %s\n", len(records), socket.LocalAddr())
	buffer := make([]byte, 4096)
	for {
		n, peer, err := socket.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if answer := answerTo(buffer[:n], records); answer != nil {
			// Who asked and went away gets nothing.
			_, _ = socket.WriteTo(answer, peer)
		}
	}
}

// endOnSignal is not ready from a SIGTERM on, and ends the process later: a proxy that hears of the first sends nothing more
// here, flows that it knows included, before the second.
func endOnSignal(probed net.Listener, drain time.Duration) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	probed.Close()
	time.Sleep(drain)
	os.Exit(0)
}

func closeAll(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		connection.Close()
	}
}

// answerTo returns nil for what is not one question.
func answerTo(query []byte, records map[string]netip.Addr) []byte {
	const header, typeA, nameError = 12, 1, 3
	if len(query) < header || query[2]&0x80 != 0 || binary.BigEndian.Uint16(query[4:]) != 1 {
		return nil
	}
	var labels []string
	at := header
	for at < len(query) && query[at] != 0 {
		end := at + 1 + int(query[at])
		if query[at] > 63 || end >= len(query) {
			return nil
		}
		labels, at = append(labels, strings.ToLower(string(query[at+1:end]))), end
	}
	if at+5 > len(query) {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[at+1:])
	ip, known := records[strings.Join(labels, ".")]
	// Authoritative answer, recursion available; the question is repeated, other sections of it (EDNS) are not.
	answer := append([]byte{query[0], query[1], 0x84 | query[2]&1, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[header:at+5]...)
	if !known {
		answer[3] |= nameError
		return answer
	}
	if kind == typeA {
		answer[7] = 1
		answer = append(answer, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 30, 0, 4)
		answer = append(answer, ip.AsSlice()...)
	}
	return answer
}

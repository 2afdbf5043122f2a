package main

import (
	"context"
	"fmt"
	"time"

	statuspb "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Asks a server for the status of its clients (CSDS), as grpcdebug does, and prints a line for each resource:
// scope, name, status, version, type and how many bytes it has.
func status(address string) error {
	channel, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := statuspb.NewClientStatusDiscoveryServiceClient(channel)
	answer, err := client.FetchClientStatus(ctx, &statuspb.ClientStatusRequest{})
	if err != nil {
		return err
	}
	for _, config := range answer.Config {
		for _, one := range config.GenericXdsConfigs {
			bytes := len(one.GetXdsConfig().GetValue())
			fmt.Println(config.ClientScope, one.Name, one.ClientStatus, one.VersionInfo, one.TypeUrl, bytes)
		}
	}
	return nil
}

package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"runtime"
)

type file struct {
	name string
	data []byte
	mode int64
}

// image writes a Docker archive that `ctr images import` takes: localhost/workload:1 and localhost/pause:1, both of one
// layer that holds this binary alone.
func image(args []string) error {
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	layer, err := archive([]file{{"workload", binary, 0o755}})
	if err != nil {
		return err
	}
	files := []file{{"layer.tar", layer, 0o644}}
	var manifest []map[string]any
	for name, entrypoint := range map[string][]string{"workload": {"/workload"}, "pause": {"/workload", "pause"}} {
		config, err := json.Marshal(map[string]any{
			"architecture": runtime.GOARCH,
			"os":           "linux",
			"config":       map[string]any{"Entrypoint": entrypoint, "User": "65532:65532", "WorkingDir": "/"},
			"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
			"history":      []map[string]string{{"created_by": "workload image"}},
		})
		if err != nil {
			return err
		}
		files = append(files, file{name + ".json", config, 0o644})
		manifest = append(manifest, map[string]any{
			"Config": name + ".json", "RepoTags": []string{"localhost/" + name + ":1"}, "Layers": []string{"layer.tar"},
		})
	}
	listed, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	whole, err := archive(append(files, file{"manifest.json", listed, 0o644}))
	if err != nil {
		return err
	}
	target, err := parseOne(flag.NewFlagSet("image", flag.ExitOnError), args, "FILE")
	if err != nil {
		return err
	}
	return os.WriteFile(target, whole, 0o644)
}

func archive(files []file) ([]byte, error) {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, file := range files {
		header := &tar.Header{Name: file.name, Size: int64(len(file.data)), Mode: file.mode, Typeflag: tar.TypeReg}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(file.data); err != nil {
			return nil, err
		}
	}
	err := writer.Close()
	return buffer.Bytes(), err
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

{{/* The pod template of the DNS server, the same in a Deployment and a DaemonSet. */}}
{{- define "rollcall.dns.pod" -}}
{{- $values := .Values.dns }}
{{- $tls := include "rollcall.dns.tls" . }}
{{- $spread := ne $values.mode "nodeLocal" -}}
metadata:
  labels:
    {{- include "rollcall.pod.labels" (dict "root" . "component" "dns" "values" $values) | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: dns
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "rollcall.pod.placement" (dict "root" . "component" "dns" "values" $values "spread" $spread "priorityClassName" (include "rollcall.dns.priorityClassName" .) "tolerations" (include "rollcall.dns.tolerations" . | fromYamlArray)) | trim | nindent 2 }}
  serviceAccountName: {{ include "rollcall.dns.serviceAccountName" . }}
  automountServiceAccountToken: {{ $values.serviceAccount.automountServiceAccountToken }}
  # Where the controller is: see --catalog.
  enableServiceLinks: true
  # By default the node's resolv.conf. This pod may be what the cluster's own names.
  {{- include "rollcall.pod.names" $values | nindent 2 }}
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds | default (add $values.lameDuckSeconds 10) }}
  securityContext:
    {{- include "rollcall.dns.podSecurityContext" . | nindent 4 }}
  {{- with $values.initContainers }}
  initContainers:
  {{- toYaml . | nindent 2 }}
  {{- end }}
  containers:
  - name: dns
    image: {{ include "rollcall.image" (list . $values.image) }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args:
    {{- range include "rollcall.dns.catalogs" . | fromYamlArray }}
    - --catalog={{ . }}
    {{- end }}
    {{- if $tls }}
    - --catalog-ca-file=/etc/rollcall/ca/ca.crt
    {{- if not $values.catalogs }}
    - --catalog-server-name={{ include "rollcall.certificates.serverName" . }}
    {{- end }}
    {{- end }}
    {{- if not $values.catalogs }}
    # The Service's address, of which the pod is told once, changes when the Service is made anew.
    - --catalog-service={{ include "rollcall.namespace" . }}/{{ include "rollcall.controller.fullname" . }}
    {{- end }}
    {{- range .Values.listenAddresses }}
    - --listen={{ . }}:{{ $values.listenPort }}
    {{- end }}
    - --http-listen={{ first .Values.listenAddresses }}:9153
    - --ttl={{ $values.ttl }}
    - --pod-names={{ $values.podNames }}
    {{- range include "rollcall.service.addresses" $values.service | fromYamlArray }}
    - --advertise={{ . }}
    {{- end }}
    {{- range include "rollcall.dns.forward" . | fromYamlArray }}
    - --forward={{ . }}
    {{- end }}
    {{- with $values.workers }}
    - --workers={{ . }}
    {{- end }}
    {{- with $values.tcpConnections }}
    - --tcp-connections={{ . }}
    {{- end }}
    {{- with $values.forwardInFlight }}
    - --forward-in-flight={{ . }}
    {{- end }}
    - --lame-duck={{ $values.lameDuckSeconds }}s
    {{- include "rollcall.pod.args" . | nindent 4 }}
    {{- with $values.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    env:
    {{- include "rollcall.pod.env" . | nindent 4 }}
    # What the zone's name server resolves to, unless the Service has a fixed address.
    - name: ROLLCALL_ADVERTISE
      valueFrom:
        fieldRef:
          fieldPath: {{ gt (len .Values.listenAddresses) 1 | ternary "status.podIPs" "status.podIP" }}
    {{- with $values.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $values.extraEnvFrom }}
    envFrom:
    {{- toYaml . | nindent 4 }}
    {{- end }}
    ports:
    - name: dns
      containerPort: {{ $values.listenPort }}
      protocol: UDP
    - name: dns-tcp
      containerPort: {{ $values.listenPort }}
    - name: http
      containerPort: 9153
    startupProbe:
      {{- include "rollcall.pod.probe" (list "/livez" $values.startupProbe) | nindent 6 }}
    livenessProbe:
      {{- include "rollcall.pod.probe" (list "/livez" $values.livenessProbe) | nindent 6 }}
    readinessProbe:
      {{- include "rollcall.pod.probe" (list "/readyz" $values.readinessProbe) | nindent 6 }}
    resources:
      {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      {{- toYaml $values.securityContext | nindent 6 }}
    {{- if or $tls $values.extraVolumeMounts }}
    volumeMounts:
    {{- if $tls }}
    - name: catalog-ca
      mountPath: /etc/rollcall/ca
      readOnly: true
    {{- end }}
    {{- with $values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
  {{- with $values.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if or $tls $values.extraVolumes }}
  volumes:
  {{- if $tls }}
  - {{ include "rollcall.certificates.bundleVolume" . | nindent 4 | trim }}
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- end }}
{{- end }}

{{/* As given, and what lets a process without privileges take a port below 1024, unless that is given as well. */}}
{{- define "rollcall.dns.podSecurityContext" -}}
{{- $given := .Values.dns.podSecurityContext | default dict }}
{{- $sysctls := $given.sysctls | default list }}
{{- $start := "net.ipv4.ip_unprivileged_port_start" }}
{{- $known := false }}
{{- range $sysctls }}
{{- $known = or $known (eq .name $start) }}
{{- end }}
{{- if and (lt (int .Values.dns.listenPort) 1024) (not $known) }}
{{- $sysctls = append $sysctls (dict "name" $start "value" (toString .Values.dns.listenPort)) }}
{{- end }}
{{- toYaml (empty $sysctls | ternary $given (merge (dict "sysctls" $sysctls) $given)) }}
{{- end }}

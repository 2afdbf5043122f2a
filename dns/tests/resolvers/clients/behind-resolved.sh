# Runs a program that looks names up behind systemd-resolved, which asks the server that /etc/resolv.conf says: `PATH-OF-SYSTEMD-RESOLVED
# PROGRAM...`. In mount and process namespaces of its own, as all that it changes is the machine's otherwise; with the program, it ends.
set -e
resolved=$1
shift
conf=$(readlink -m /etc/resolv.conf)
server=$(sed -n 's/^nameserver //p' "$conf")
kept=$(sed '/^nameserver /d' "$conf")

# No bus: it waits for one that never comes, and answers meanwhile.
mount -t tmpfs none /run
mount -t tmpfs none /etc/systemd
for file in passwd group; do
    cp /etc/$file /run/$file
    mount --bind /run/$file /etc/$file
done
grep -q ^systemd-resolve: /etc/group || echo systemd-resolve:x:981: >> /etc/group
grep -q ^systemd-resolve: /etc/passwd || echo systemd-resolve:x:981:981::/:/bin/false >> /etc/passwd
install -d -o systemd-resolve -g systemd-resolve /run/systemd/resolve

# What is asked is to be counted, so nothing is kept; and a name of one label is for the server to deny, as without it.
cat > /etc/systemd/resolved.conf <<END
[Resolve]
DNS=$server
FallbackDNS=
Domains=~.
LLMNR=no
MulticastDNS=no
Cache=no
ResolveUnicastSingleLabel=yes
END
mkdir -p "$(dirname "$conf")"
[ -e "$conf" ] || : > "$conf"
printf 'nameserver 127.0.0.53\n%s\n' "$kept" > /run/resolv.conf
mount --bind /run/resolv.conf "$conf"

# Without a way out of the machine it takes the network for down.
ip link show outward > /dev/null 2>&1 || {
    ip link add outward type veth peer name outside
    ip address add 198.51.100.1/24 dev outward
    ip link set outward up
    ip link set outside up
}
# 127.0.0.53:53, as the system writes it on machines of little-endian order, which are all that there are. One that was ended a moment
# ago may have it still.
listens() {
    grep -q ' 3500007F:0035 ' /proc/net/udp
}
turns=500
while listens && [ $turns -gt 0 ]; do
    turns=$((turns - 1))
    sleep 0.02
done
SYSTEMD_LOG_TARGET=console "$resolved" > /run/resolved.log 2>&1 &
until listens; do
    kill -0 $! || { cat /run/resolved.log >&2; exit 1; }
    sleep 0.02
done
exec "$@"

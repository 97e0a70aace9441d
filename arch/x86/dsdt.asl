/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board as ACPI devices: PCI root, serial port, power button, panic notifier, virtio-mmio. Addresses come from layout.h. What
 * depends on the configuration is a Name below, filled in by acpi.c when the tables are built.
 */
#include "layout.h"

DefinitionBlock ("", "DSDT", 2, "PINVM ", "PINVM   ", 1)
{
	/* acpi.c finds each by its name; the values only make sure of 64 bits to write into. */
	Name (M32B, 0x5555555500000001) // PCI memory window below 4 GiB: base
	Name (M32S, 0x5555555500000002) // and size in bytes
	Name (M64B, 0x5555555500000003) // PCI memory window above RAM: base
	Name (M64S, 0x5555555500000004) // and size, 0: none
	Name (UART, 0x5555555500000005) // is there a serial port?
	Name (PCIE, 0x5555555500000006) // is there PCI?
	Name (VMIO, 0x5555555500000007) // how many slots of virtio-mmio have a device

	Name (\_S5, Package () {5, 0, 0, 0})

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_SEG, 0)
			Name (_BBN, 0)
			Method (_STA)
			{
				If (PCIE)
				{
					Return (0xf)
				}
				Return (0)
			}

			/* No I/O window: no device here has I/O BARs. No _PRT: all interrupts are MSIs. */
			Name (RLOW, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
				IO (Decode16, PIO_PCI, PIO_PCI, 1, 8)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0, 0, 0, 0, 1, , , M32)
			})
			Name (RHI, ResourceTemplate ()
			{
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0, 0, 0, 0, 1, , , M64)
			})

			Method (_CRS, 0, Serialized)
			{
				CreateDWordField (RLOW, ^M32._MIN, MIN3)
				CreateDWordField (RLOW, ^M32._MAX, MAX3)
				CreateDWordField (RLOW, ^M32._LEN, LEN3)
				MIN3 = M32B
				MAX3 = M32B + M32S - 1
				LEN3 = M32S
				If (M64S == 0)
				{
					Return (RLOW)
				}
				CreateQWordField (RHI, ^M64._MIN, MIN6)
				CreateQWordField (RHI, ^M64._MAX, MAX6)
				CreateQWordField (RHI, ^M64._LEN, LEN6)
				MIN6 = M64B
				MAX6 = M64B + M64S - 1
				LEN6 = M64S
				Return (ConcatenateResTemplate (RLOW, RHI))
			}

			/* No firmware runs here, so the guest may control all it asks for: the request comes back unchanged. */
			Method (_OSC, 4)
			{
				CreateDWordField (Arg3, 0, CDW1)
				If (Arg0 != ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))
				{
					CDW1 |= 0x4 // unknown UUID
				}
				ElseIf (Arg1 != 1)
				{
					CDW1 |= 0x8 // unknown revision
				}
				Return (Arg3)
			}
		}

		/* What no driver owns. Linux uses ECAM only when it finds it here. */
		Device (BRD0)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PIO_SLEEP_CTL, PIO_SLEEP_CTL, 1, 0xc)
			})
		}

		Device (BRD1)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, PCI_ECAM_BASE, PCI_ECAM_SIZE)
			})
			Method (_STA)
			{
				Return (^^PCI0._STA ())
			}
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PIO_SERIAL, PIO_SERIAL, 1, 8)
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {PIN_SERIAL}
			})
			Method (_STA)
			{
				If (UART)
				{
					Return (0xf)
				}
				Return (0)
			}
		}

		Device (PWRB)
		{
			Name (_HID, EisaId ("PNP0C0C"))
			Name (_UID, 0)
		}

		Device (GED0)
		{
			Name (_HID, "ACPI0013")
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {PIN_GED}
			})
			OperationRegion (REGS, SystemIO, PIO_GED, 4)
			Field (REGS, DWordAcc, NoLock, WriteAsZeros)
			{
				EVTS, 32 // reading clears it
			}
			Method (_EVT, 1, Serialized)
			{
				Local0 = EVTS
				If (Local0 & 1)
				{
					Notify (PWRB, 0x80)
				}
			}
		}

		Device (PVPN)
		{
			Name (_HID, "QEMU0001")
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PIO_PVPANIC, PIO_PVPANIC, 1, 1)
			})
		}

		/* The slots of virtio-mmio, each there when it has a device. VCRS: slot and pin, as in arch_mmio_slot(). */
		Method (VSTA, 1)
		{
			If (Arg0 < VMIO)
			{
				Return (0xf)
			}
			Return (0)
		}
		Method (VCRS, 2, Serialized)
		{
			Name (RES, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, 0, MMIO_SLOT_SIZE, REGS)
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive, , , PIN) {0}
			})
			CreateDWordField (RES, REGS._BAS, BASE)
			CreateDWordField (RES, PIN._INT, PINN)
			BASE = MMIO_PLATFORM + Arg0 * MMIO_SLOT_SIZE
			PINN = Arg1
			Return (RES)
		}
		Device (V000) {Name (_HID, "LNRO0005") Name (_UID, 0) Method (_STA) {Return (VSTA (0))} Method (_CRS) {Return (VCRS (0, 10))}}
		Device (V001) {Name (_HID, "LNRO0005") Name (_UID, 1) Method (_STA) {Return (VSTA (1))} Method (_CRS) {Return (VCRS (1, 11))}}
		Device (V002) {Name (_HID, "LNRO0005") Name (_UID, 2) Method (_STA) {Return (VSTA (2))} Method (_CRS) {Return (VCRS (2, 12))}}
		Device (V003) {Name (_HID, "LNRO0005") Name (_UID, 3) Method (_STA) {Return (VSTA (3))} Method (_CRS) {Return (VCRS (3, 13))}}
		Device (V004) {Name (_HID, "LNRO0005") Name (_UID, 4) Method (_STA) {Return (VSTA (4))} Method (_CRS) {Return (VCRS (4, 14))}}
		Device (V005) {Name (_HID, "LNRO0005") Name (_UID, 5) Method (_STA) {Return (VSTA (5))} Method (_CRS) {Return (VCRS (5, 15))}}
		Device (V006) {Name (_HID, "LNRO0005") Name (_UID, 6) Method (_STA) {Return (VSTA (6))} Method (_CRS) {Return (VCRS (6, 16))}}
		Device (V007) {Name (_HID, "LNRO0005") Name (_UID, 7) Method (_STA) {Return (VSTA (7))} Method (_CRS) {Return (VCRS (7, 17))}}
		Device (V008) {Name (_HID, "LNRO0005") Name (_UID, 8) Method (_STA) {Return (VSTA (8))} Method (_CRS) {Return (VCRS (8, 18))}}
		Device (V009) {Name (_HID, "LNRO0005") Name (_UID, 9) Method (_STA) {Return (VSTA (9))} Method (_CRS) {Return (VCRS (9, 19))}}
		Device (V010) {Name (_HID, "LNRO0005") Name (_UID, 10) Method (_STA) {Return (VSTA (10))} Method (_CRS) {Return (VCRS (10, 20))}}
		Device (V011) {Name (_HID, "LNRO0005") Name (_UID, 11) Method (_STA) {Return (VSTA (11))} Method (_CRS) {Return (VCRS (11, 21))}}
		Device (V012) {Name (_HID, "LNRO0005") Name (_UID, 12) Method (_STA) {Return (VSTA (12))} Method (_CRS) {Return (VCRS (12, 22))}}
		Device (V013) {Name (_HID, "LNRO0005") Name (_UID, 13) Method (_STA) {Return (VSTA (13))} Method (_CRS) {Return (VCRS (13, 23))}}
		Device (V014) {Name (_HID, "LNRO0005") Name (_UID, 14) Method (_STA) {Return (VSTA (14))} Method (_CRS) {Return (VCRS (14, 5))}}
		Device (V015) {Name (_HID, "LNRO0005") Name (_UID, 15) Method (_STA) {Return (VSTA (15))} Method (_CRS) {Return (VCRS (15, 6))}}
		Device (V016) {Name (_HID, "LNRO0005") Name (_UID, 16) Method (_STA) {Return (VSTA (16))} Method (_CRS) {Return (VCRS (16, 7))}}
	}
}
